"""Secrets on booted nodes: deployed, changed and removed, alone and with a system; secrets that cannot be read, that
belong to users whom a node does not have yet, and whose folders belong to other users."""

import re

import pytest
from fleet import Exit, wait_until
from fleet.secrets import Secrets, check_secrecy, owner_and_mode, reloads, starts

NODES = ["alpha", "beta"]


@pytest.fixture(scope="module")
def secrets(fleet):
    return Secrets(fleet)


def inode(node, path):
    return node.succeed(f"stat -c %i {path}")


def test_the_first_deployment(fleet, alpha, beta, secrets, subtest):
    secrets.describe(alpha, secrets.three())
    secrets.describe(beta)
    run = fleet.apply()
    with subtest("waggle apply succeeds"):
        assert run.exit_code == Exit.OK
    for node in fleet:
        with subtest(f"{node}: all secrets are in place, with owner and mode"):
            assert secrets.wrong_on(node) == []
        for unit in ("uses-two", "reads-two"):
            with subtest(f"{node}: {unit} is active, with a user that this activation created"):
                node.require_unit_state(unit)
    with subtest("each unit was started once"):
        assert (starts(alpha, "uses-one"), starts(alpha, "uses-two")) == (1, 1)
    with subtest("the user has the password from its secret"):
        assert secrets.password_works(alpha)
    with subtest("/run/keys has the owner and mode that NixOS sets"):
        assert owner_and_mode(alpha, "/run/keys") == "root:keys 750"
    with subtest("the secret for a file system that the activation mounts is there"):
        assert secrets.is_at(alpha, "far", "/far/keys/far")
    with subtest("the unit that needs this secret is active"):
        alpha.require_unit_state("uses-far")
    with subtest("the secret for a file system that is not mounted is not written"):
        assert not alpha.exists("/late/keys")
    with subtest("the bundle in the state directory is an age file"):
        assert alpha.read(secrets.bundle(alpha)).startswith("age-encryption.org/v1\n")

    run = fleet.waggle("keys", on=alpha)
    table = fleet.waggle("keys", on=alpha, json=False)
    found = {secret["name"]: secret for secret in run.nodes["alpha"]["secrets"]}
    with subtest("the exit code of waggle keys says that not all secrets are in place"):
        assert run.exit_code == table.exit_code == Exit.UNITS_FAILED
    with subtest("waggle keys shows which secret waits"):
        assert [name for name in found if found[name]["state"] != "in-place"] == ["late"]
        assert found["late"]["state"] == "waits"
        assert table.says(r"^alpha +late +waits ")
    with subtest("waggle keys shows owner and mode"):
        assert (found["two"]["owner"], found["two"]["mode"]) == ("web:web", "0440")
        assert table.says(r"^alpha +two +in-place +web:web +0440 ")


def test_one_of_three_secrets_changes_only_its_units_restart_once(fleet, alpha, beta, secrets, subtest):
    secrets.renew("two")
    untouched = inode(alpha, "/run/keys/one")
    run = fleet.apply()
    with subtest("waggle apply succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("alpha: the outcome is ok"):
        assert run.outcome["alpha"] == "ok"
    with subtest("all secrets are in place"):
        assert secrets.wrong_on(alpha) == []
    with subtest("the unit of the changed secret was restarted"):
        wait_until("uses-two is restarted", lambda: starts(alpha, "uses-two") == 2, 20)
    with subtest("the other unit was not restarted"):
        assert starts(alpha, "uses-one") == 1
    with subtest("the other secret's file was not touched"):
        assert inode(alpha, "/run/keys/one") == untouched
    run = fleet.apply()
    with subtest("a second deployment leaves both nodes unchanged"):
        assert run.outcome == {"alpha": "unchanged", "beta": "unchanged"}
    with subtest("the second deployment restarts no unit"):
        assert (starts(alpha, "uses-one"), starts(alpha, "uses-two"), starts(beta, "uses-two")) == (1, 2, 2)


def test_upload_keys_sends_secrets_alone(fleet, alpha, beta, secrets, subtest):
    for name in ("one", "disk", "text"):
        secrets.renew(name)
    evaluated = '{ environment.etc.word.text = throw "the system was evaluated"; }'
    secrets.describe(alpha, secrets.three(), evaluated)
    secrets.describe(beta)
    before = alpha.system()
    run = fleet.waggle("upload-keys")
    with subtest("waggle upload-keys succeeds"):
        assert run.exit_code == Exit.OK
    for node in fleet:
        with subtest(f"{node}: all secrets are in place"):
            assert secrets.wrong_on(node) == []
    with subtest("the system is unchanged"):
        assert alpha.system() == before
    with subtest("the unit in restartUnits was restarted"):
        wait_until("uses-one is restarted", lambda: starts(alpha, "uses-one") == 2, 20)
    with subtest("the unit in reloadUnits was reloaded"):
        wait_until("reads-disk is reloaded", lambda: reloads(alpha, "reads-disk") == 1, 20)
    with subtest("the reloaded unit was not restarted"):
        assert starts(alpha, "reads-disk") == 1
    run = fleet.waggle("upload-keys")
    with subtest("a second upload leaves both nodes unchanged"):
        assert run.outcome == {"alpha": "unchanged", "beta": "unchanged"}
    with subtest("the second upload restarts and reloads no unit"):
        assert (starts(alpha, "uses-one"), reloads(alpha, "reads-disk")) == (2, 1)


def test_secrets_that_the_operators_machine_does_not_have_are_not_deployed(fleet, alpha, secrets, subtest):
    before = secrets.bundle(alpha)
    secrets.renew("one")
    vault = "echo part-of-it; echo the vault is closed >&2; exit 3"
    secrets.describe(alpha, f'vault = {{ keyCommand = [ "sh" "-c" "{vault}" ]; }};')
    run = fleet.apply(on=alpha)
    with subtest("a keyCommand that fails gives exit code 10"):
        assert run.exit_code == Exit.SECRETS
        assert run.nodes["alpha"]["code"] == "secret-not-read"
    with subtest("the error names the secret and the command's exit code"):
        assert re.search(
            r"^deployment\.keys\.vault: keyCommand `sh .*`: it ended with exit code 3:$",
            run.nodes["alpha"]["message"],
            re.MULTILINE,
        )
    with subtest("the error shows the command's standard error"):
        assert re.search(r"^\s*the vault is closed$", run.nodes["alpha"]["message"], re.MULTILINE)
    with subtest("the output does not show the command's standard output"):
        assert "part-of-it" not in run.text.replace(vault, "")

    secrets.describe(alpha, f"gone = {{ {secrets.key_file('gone')} }};")
    run = fleet.waggle("upload-keys", on=alpha)
    with subtest("a keyFile that does not exist gives exit code 10"):
        assert run.exit_code == Exit.SECRETS
        assert run.nodes["alpha"]["code"] == "secret-not-read"
    with subtest("the error names the secret and the file"):
        assert f"deployment.keys.gone: keyFile {secrets.folder}/gone: No such file" in run.nodes["alpha"]["message"]

    secrets.describe(alpha, 'typo = { text = "x"; user = "wbe"; };')
    for command in ("apply", "upload-keys"):
        run = fleet.waggle(command, on=alpha)
        with subtest(f"{command} with a user that the hive does not have gives exit code 2"):
            assert run.exit_code == Exit.USAGE
        with subtest(f"{command}: the error names the secret and the user"):
            assert run.says(r'deployment\.keys\.typo: user is "wbe", and there is no users\.users\.wbe')

    secrets.describe(alpha, secrets.three())
    run = fleet.apply("--no-keys", on=alpha)
    with subtest("--no-keys keeps the node's bundle"):
        assert run.exit_code == Exit.OK
        assert secrets.bundle(alpha) == before
    fleet.deploy()
    for node in fleet:
        with subtest(f"{node}: without --no-keys, all secrets are in place"):
            assert secrets.wrong_on(node) == []


def test_removal_of_a_secret(fleet, alpha, secrets, subtest):
    assert secrets.is_at(alpha, "three", "/run/keys/three")
    secrets.describe(alpha)
    run = fleet.apply(on=alpha)
    with subtest("waggle apply succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("the removed secret's file is gone"):
        assert not alpha.exists("/run/keys/three")
    with subtest("the other secrets are in place"):
        assert secrets.wrong_on(alpha) == []


def test_a_user_that_the_node_does_not_have(fleet, alpha, secrets, subtest):
    """The error names the user, and nothing is written."""
    before = secrets.bundle(alpha)
    previous = secrets.renew("one")
    alpha.succeed("systemctl stop uses-two")
    alpha.succeed("userdel web")
    run = fleet.waggle("upload-keys", on=alpha)
    with subtest("the exit code says failed before activation"):
        assert run.exit_code == Exit.FAILED
        assert run.nodes["alpha"]["code"] == "secrets-failed"
    with subtest("the error names the user"):
        assert "secret two: this node has no user web" in run.nodes["alpha"]["message"]
    secrets.write("one", previous)
    with subtest("the secret's file is unchanged"):
        assert secrets.is_at(alpha, "one", "/run/keys/one")
    with subtest("the previous bundle is in force"):
        assert secrets.bundle(alpha) == before
    alpha.succeed(f"{alpha.system()}/activate")
    with subtest("all secrets are in place after an activation that creates the user"):
        assert secrets.wrong_on(alpha) == []
    alpha.succeed("systemctl start uses-two")
    run = fleet.apply(on=alpha)
    with subtest("the next deployment leaves alpha unchanged"):
        assert run.outcome["alpha"] == "unchanged"


def test_folders_that_another_user_could_modify(fleet, alpha, secrets, subtest):
    alpha.succeed("su -s /bin/sh web -c 'mkdir /tmp/app-keys'")
    secrets.describe(alpha, f'app = {{ {secrets.key_file("one")} destDir = "/tmp/app-keys"; }};')
    run = fleet.apply(on=alpha)
    with subtest("the exit code says failed before activation"):
        assert run.exit_code == Exit.FAILED
        assert run.nodes["alpha"]["code"] == "secrets-failed"
    with subtest("the error names the folder and its owner"):
        problem = "secret app: /tmp/app-keys belongs to web, who could replace the secret"
        assert problem in run.nodes["alpha"]["message"]
    with subtest("nothing was written into the folder"):
        assert alpha.succeed("ls -A /tmp/app-keys") == ""
    alpha.succeed("rm -r /tmp/app-keys")


def test_folders_in_the_homes_of_an_existing_user_and_of_one_that_this_activation_creates(
    fleet, alpha, secrets, subtest
):
    secrets.describe(
        alpha,
        f"""
        ssh = {{ {secrets.key_file("one")} destDir = "/home/web/.ssh"; user = "web"; group = "web"; }};
        fresh = {{ {secrets.key_file("one")} destDir = "/home/fresh/deeper/keys"; user = "fresh"; group = "web"; }};
        """,
        '{ users.users.fresh = { isSystemUser = true; group = "fresh"; }; users.groups.fresh = { }; }',
    )
    run = fleet.apply(on=alpha)
    with subtest("waggle apply succeeds"):
        assert run.exit_code == Exit.OK
    for folder in ("/home/web", "/home/web/.ssh"):
        with subtest(f"{folder} belongs to its user"):
            assert owner_and_mode(alpha, folder) == "web:web 700"
    for folder in ("/home/fresh", "/home/fresh/deeper", "/home/fresh/deeper/keys"):
        with subtest(f"{folder} belongs to its user"):
            assert owner_and_mode(alpha, folder) == "fresh:fresh 700"
    for user, file in [("web", "/home/web/.ssh/ssh"), ("fresh", "/home/fresh/deeper/keys/fresh")]:
        with subtest(f"the user {user} can read its secret"):
            assert alpha.succeed(f"su -s /bin/sh {user} -c 'cat {file}'") == secrets.read("one").strip()
    secrets.describe(alpha)
    fleet.deploy(alpha)
    with subtest("a removed secret's file in a home is gone"):
        assert not alpha.exists("/home/web/.ssh/ssh")
        assert not alpha.exists("/home/fresh/deeper/keys/fresh")


def test_a_key_command_that_fails_within_a_pipe_replaces_nothing(fleet, alpha, secrets, subtest):
    secrets.describe(alpha, module='{ deployment.keys.two.keyCommand = lib.mkForce [ "sh" "-c" "false | tr -d x" ]; }')
    run = fleet.apply(on=alpha)
    with subtest("the exit code says that a secret could not be read"):
        assert run.exit_code == Exit.SECRETS
        assert run.nodes["alpha"]["code"] == "secret-not-read"
    with subtest("the error names the secret and the reason"):
        assert re.search(r"deployment\.keys\.two: the output of keyCommand .* is empty", run.nodes["alpha"]["message"])
    with subtest("the node's secrets are unchanged"):
        assert secrets.wrong_on(alpha) == []


def test_all_of_this_leaves_no_secret_elsewhere(secrets, subtest):
    check_secrecy(subtest, secrets)

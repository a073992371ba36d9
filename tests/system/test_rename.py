"""Deployments that change a node's name, hive, port or address: they succeed, also with the node's secrets, and the
deployments after them reach the node."""

import subprocess

from fleet import AGENT, Exit

NODES = ["alpha", "beta"]
SECRET = "/var/lib/kept/one"


def describe(fleet, node, word, module="{ }"):
    """Describes a system with a word and a secret that tell systems apart, and a further module."""
    fleet.configure(
        node,
        f"""
        {{ lib, ... }}: {{
          imports = [ ({module}) ];
          environment.etc.word.text = "{word}";
          deployment.keys.one = {{ text = "secret of {word}"; destDir = "/var/lib/kept"; }};
        }}
        """,
    )


def replace(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def identity(node):
    """What the agent says about itself, such as its "node" and its "hive"."""
    lines = node.succeed(f"{AGENT} status").splitlines()
    return dict(line.split(maxsplit=1) for line in lines if len(line.split()) > 1)


def set_addresses(fleet, node, addresses):
    fleet.settings["nodes"][node.name]["address"] = addresses
    fleet.write_settings()


def test_the_first_deployment(fleet, alpha, beta, subtest):
    describe(fleet, alpha, "one")
    describe(fleet, beta, "one")
    run = fleet.apply()
    with subtest("both nodes are deployed"):
        assert run.exit_code == Exit.OK
        assert run.outcome == {"alpha": "ok", "beta": "ok"}


def test_the_configuration_gives_a_node_a_name_other_than_the_hives(fleet, alpha, subtest):
    describe(fleet, alpha, "two", '{ services.waggle-agent.node = "queen"; }')
    with subtest("the node is deployed under its current name"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "two"
    with subtest("alpha is called queen"):
        assert identity(alpha)["node"] == "queen"
    with subtest("alpha's secret is in place"):
        assert alpha.read(SECRET) == "secret of two"
    run = fleet.waggle("keys", on=alpha)
    with subtest("waggle keys succeeds on alpha"):
        assert run.exit_code == Exit.OK
        assert [secret["path"] for secret in run.nodes["alpha"]["secrets"]] == [SECRET]

    alpha.reboot()
    fleet.wait_for_agents(alpha)
    alpha.succeed(f"rm {SECRET} && systemctl restart waggle-secrets")
    with subtest("the secrets' boot unit restores the secret"):
        assert alpha.read(SECRET) == "secret of two"
    with subtest("the next deployment leaves alpha unchanged"):
        assert fleet.apply(on=alpha).outcome["alpha"] == "unchanged"

    run = fleet.waggle("rollback", on=alpha)
    with subtest("a rollback restores the previous system"):
        assert run.exit_code == Exit.OK
        assert alpha.word() == "one"
    with subtest("alpha is called alpha again"):
        assert identity(alpha)["node"] == "alpha"
    run = fleet.apply(on=alpha)
    with subtest("the next deployment brings the new system back"):
        assert run.exit_code == Exit.OK
        assert alpha.word() == "two"


def test_a_node_gets_another_name_in_the_hive(fleet, alpha, subtest):
    fleet.unconfigure("alpha")
    fleet.settings["nodes"]["drone"] = fleet.settings["nodes"].pop("alpha")
    fleet.write_settings()
    describe(fleet, "drone", "three", '{ services.waggle-agent.node = "drone"; }')
    run = fleet.apply(on="drone")
    with subtest("without the node's former name, the deployment is refused"):
        assert run.exit_code == Exit.REFUSED
        assert run.nodes["drone"]["code"] == "other-node"
        assert alpha.word() == "two"
    with subtest("the refusal names the option that sets the name"):
        assert "services.waggle-agent.node" in run.message("drone")
    with subtest("the refusal shows the flags to use"):
        assert "--on drone --rename OLD-NODE" in run.message("drone")
    run = fleet.apply("--rename", "queen")
    with subtest("--rename for several nodes is a usage error"):
        assert run.exit_code == Exit.USAGE
        assert run.says("--rename")
    run = fleet.apply("--rename", "queen", on="drone")
    with subtest("with the former name, the deployment succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "three"
    with subtest("waggle status succeeds under the new name"):
        assert fleet.status(on="drone").exit_code == Exit.OK


def test_the_hive_gets_another_name(fleet, beta, subtest):
    replace(fleet.hive / "hive.nix", 'name = "test"', 'name = "production"')
    run = fleet.apply()
    with subtest("without the hive's former name, the deployment is refused"):
        assert run.exit_code == Exit.REFUSED
        assert {name: node["code"] for name, node in run.nodes.items()} == {"beta": "other-hive", "drone": "other-hive"}
    with subtest("the refusal names the option that sets the name"):
        assert "meta.name" in run.message("beta")
    with subtest("with the hive's former name, the deployment succeeds"):
        assert fleet.apply("--rename-hive", "test").exit_code == Exit.OK
    with subtest("beta belongs to the renamed hive"):
        assert identity(beta)["hive"] == "production"
    with subtest("waggle status succeeds under the hive's new name"):
        assert fleet.status().exit_code == Exit.OK


def test_an_agent_that_colmena_has_deployed_which_does_not_pass_meta_name_to_the_module(fleet, alpha, subtest):
    describe(fleet, "drone", "foreign", '{ services.waggle-agent.hive = "hive"; }')
    fleet.apply("--rename-hive", "production", on="drone")
    with subtest("alpha belongs to the default hive"):
        assert alpha.word() == "foreign"
        assert identity(alpha)["hive"] == "hive"
    describe(fleet, "drone", "ours")
    with subtest("the first deployment succeeds"):
        assert fleet.apply(on="drone").exit_code == Exit.OK
        assert alpha.word() == "ours"
    with subtest("the deployment moves alpha into the hive"):
        assert identity(alpha)["hive"] == "production"


def test_another_port_and_other_addresses(fleet, beta, subtest):
    describe(fleet, beta, "four", "{ services.waggle-agent.port = 9300; deployment.agent.port = [ 9300 9244 ]; }")
    with subtest("a deployment that changes the port succeeds"):
        assert fleet.apply(on=beta).exit_code == Exit.OK
    with subtest("beta runs the new system"):
        assert beta.word() == "four"
    describe(fleet, beta, "five", "{ services.waggle-agent.port = 9300; }")
    run = fleet.apply(on=beta)
    with subtest("the next deployment needs only the new port"):
        assert run.exit_code == Exit.OK
        assert beta.word() == "five"

    old, new = beta.address, "10.83.250.2"
    beta.succeed(f"ip addr add {new}/24 dev uplink")
    subprocess.run(["ip", "route", "add", "10.83.250.0/24", "via", old], check=True)
    set_addresses(fleet, beta, [new, old])
    describe(fleet, beta, "six", f'{{ services.waggle-agent = {{ port = 9300; listen = [ "{new}" ]; }}; }}')
    with subtest("a deployment that changes the address succeeds"):
        assert fleet.apply(on=beta).exit_code == Exit.OK
    with subtest("beta runs the new system"):
        assert beta.word() == "six"
    set_addresses(fleet, beta, old)
    with subtest("no agent answers at the old address"):
        assert fleet.status(on=beta).exit_code == Exit.UNREACHABLE
    set_addresses(fleet, beta, [old, new])
    with subtest("of several addresses, waggle uses the one that answers"):
        assert fleet.apply(on=beta).outcome["beta"] == "unchanged"

"""A hive on three booted nodes: the first and the second deployment, the status, and what each goal leaves behind, also
after a reboot."""

import pytest
from fleet import Exit, wait_until

NODES = ["alpha", "beta", "gamma"]


@pytest.fixture
def describe(fleet):
    """Describes a system with 4 MB that cannot be compressed and 4 MB that can, the same in every one, and a word that
    tells systems apart."""

    def describe(node, word):
        fleet.configure(
            node,
            f"""
            {{ pkgs, ... }}: {{
              environment.etc.ballast.source = pkgs.runCommand "ballast" {{ }} "head -c 4000000 /dev/urandom > $out";
              environment.etc.numbers.source = pkgs.runCommand "numbers" {{ }} "seq 590000 > $out";
              environment.etc.word.text = "{word}";
              systemd.services.web = {{ wantedBy = [ "multi-user.target" ]; script = "echo serving {word}; exec sleep infinity"; }};
            }}
            """,
        )

    return describe


def test_the_first_deployment_to_all_three_at_once(fleet, alpha, describe, subtest):
    for node in fleet:
        describe(node, "one")
    first = fleet.toplevel(alpha)
    before = alpha.bytes_received()
    run = fleet.apply()
    with subtest("waggle apply succeeds"):
        assert run.exit_code == Exit.OK
    for node in fleet:
        with subtest(f"{node}: the outcome is ok"):
            assert run.outcome[node.name] == "ok"
        with subtest(f"{node} has the new file"):
            assert node.word() == "one"
        with subtest(f"{node} runs the new service"):
            node.require_unit_state("web")
        with subtest(f"{node} boots the new system from now on"):
            assert node.profile() == node.system()
    with subtest("alpha runs the system that the hive describes"):
        assert alpha.system() == first
    received, report = alpha.bytes_received() - before, run.nodes["alpha"]
    with subtest("the ballast and the numbers are sent"):
        assert received >= 4_000_000
        assert report["narBytesSent"] >= 8_000_000
    with subtest("the numbers travel compressed"):
        assert report["bytesSent"] <= received <= 6_500_000
    with subtest("the store of alpha is sound"):
        assert alpha.store_is_sound()


def test_the_second_deployment_sends_only_what_changed(fleet, alpha, beta, describe, subtest):
    describe(alpha, "two")
    second = fleet.toplevel(alpha)
    before, before_beta = alpha.bytes_received(), beta.bytes_received()
    run = fleet.apply()
    with subtest("waggle apply succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("alpha has the new word"):
        assert alpha.word() == "two"
    with subtest("alpha's service was restarted"):
        assert "serving two" in alpha.journal("-b -u web")
    with subtest("the ballast is not sent again"):
        assert alpha.bytes_received() - before <= 400_000
    with subtest("beta is unchanged"):
        assert run.outcome["beta"] == "unchanged"
    with subtest("almost nothing is sent to beta"):
        assert beta.bytes_received() - before_beta <= 100_000

    run = fleet.status()
    with subtest("waggle status succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("the status lists every node"):
        assert list(run.nodes) == NODES
    with subtest("the status shows alpha's current system"):
        assert run.nodes["alpha"]["currentSystem"] == second


def test_only_the_nodes_that_on_selects(fleet, beta, gamma, describe, subtest):
    for node in fleet:
        describe(node, "three")
    run = fleet.apply(on="be*")
    with subtest("waggle apply --on succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("beta has the new word"):
        assert beta.word() == "three"
    with subtest("gamma is unchanged"):
        assert gamma.word() == "one"
    with subtest("a node that is not in the hive is a usage error"):
        assert fleet.apply(on="nobody").exit_code == Exit.USAGE


def test_goal_push_sends_the_closure_and_nothing_else(fleet, gamma, subtest):
    system = fleet.toplevel(gamma)
    with subtest("waggle apply push succeeds"):
        assert fleet.apply("push", on=gamma).exit_code == Exit.OK
    with subtest("gamma has the closure"):
        gamma.succeed(f"nix-store --store daemon --check-validity {system}")
    with subtest("gamma still runs the previous system"):
        assert gamma.word() == "one"


def test_goal_dry_activate_prints_what_would_happen(fleet, gamma, subtest):
    run = fleet.apply("dry-activate", on=gamma, json=False)
    with subtest("waggle apply dry-activate succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("waggle shows the output of switch-to-configuration"):
        assert run.says("would (re)?(start|stop|activate)")
    with subtest("the output has a heading for gamma"):
        assert run.says("^gamma:$")
    with subtest("gamma still runs the previous system"):
        assert gamma.word() == "one"


def test_the_status_shows_failed_units(fleet, gamma, subtest):
    gamma.succeed("systemd-run -q --unit=ill false")
    gamma.wait_for_unit_state("ill", "failed", timeout=20)
    run = fleet.status(on="gamma,beta", json=False)
    with subtest("waggle status succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("the status names gamma's failed unit below the table"):
        assert "\n\ngamma:\n    failed units: ill.service\n" in run.text
    gamma.succeed("systemctl reset-failed ill")


def test_install_bootloader_with_a_system_that_already_runs(fleet, beta, subtest):
    with subtest("without the flag, beta is unchanged"):
        assert fleet.apply(on=beta).outcome["beta"] == "unchanged"
    run = fleet.apply("--install-bootloader", on=beta)
    with subtest("with the flag, the outcome is ok"):
        assert run.outcome["beta"] == "ok"
    with subtest("the boot loader is installed"):
        assert run.says("installing the stand-in boot loader")
    with subtest("with goal test, the flag is a usage error"):
        assert fleet.apply("test", "--install-bootloader", on=beta).exit_code == Exit.USAGE


def test_goal_test_lasts_until_the_next_boot(fleet, gamma, subtest):
    system, old = fleet.toplevel(gamma), gamma.profile()
    with subtest("waggle apply test succeeds"):
        assert fleet.apply("test", on=gamma).exit_code == Exit.OK
    with subtest("gamma runs the new system"):
        assert gamma.system() == system
    with subtest("the profile is unchanged"):
        assert gamma.profile() == old
    gamma.reboot()
    with subtest("after a reboot the old system is back"):
        assert gamma.system() == old
    with subtest("gamma has the old system's files"):
        assert gamma.word() == "one"
    fleet.wait_for_agents(gamma)


def test_goal_boot_counts_from_the_next_boot_on(fleet, gamma, subtest):
    system, old = fleet.toplevel(gamma), gamma.profile()
    with subtest("waggle apply boot succeeds"):
        assert fleet.apply("boot", on=gamma).exit_code == Exit.OK
    with subtest("gamma still runs the old system"):
        assert gamma.word() == "one"
    with subtest("the profile is the old system until the new one is committed"):
        assert gamma.profile() == old
    gamma.reboot()
    with subtest("after a reboot gamma runs the new system"):
        assert gamma.system() == system
    with subtest("gamma has the new system's files"):
        assert gamma.word() == "three"
    fleet.wait_for_agents(gamma)
    with subtest("gamma boots the new system from now on"):
        wait_until("gamma commits the new system", lambda: gamma.profile() == gamma.system(), 30)


def test_goal_switch_survives_a_power_cut(fleet, alpha, subtest):
    with subtest("waggle apply succeeds"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
    alpha.crash()
    alpha.start()
    with subtest("alpha boots the new system"):
        assert alpha.word() == "three"
    with subtest("alpha runs the new system's service"):
        alpha.require_unit_state("web")
    fleet.wait_for_agents(alpha)
    with subtest("the next deployment leaves alpha unchanged"):
        assert fleet.apply().outcome["alpha"] == "unchanged"


def test_ipv6_and_an_agent_that_listens_on_a_named_interface(fleet, beta, subtest):
    if "fd83:2::2" not in beta.succeed("ip -6 addr show dev uplink"):
        pytest.skip("this machine has no IPv6")
    fleet.settings["nodes"]["beta"]["address"] = "fd83:2::2"
    fleet.write_settings()
    with open(fleet.known_hosts, "a") as file:
        file.write(f"fd83:2::2 {beta.host_key()}\n")
    fleet.configure(beta, '{ environment.etc.word.text = "four"; services.waggle-agent.listen = [ "uplink" ]; }')
    with subtest("waggle apply succeeds"):
        assert fleet.apply(on=beta).exit_code == Exit.OK
    with subtest("beta has the new word"):
        assert beta.word() == "four"
    with subtest("the agent no longer listens on all addresses"):
        beta.wait_until_fails("ss -tln | grep -q '[*]:9244'", timeout=20)
    with subtest("waggle status succeeds over IPv6"):
        assert fleet.status(on=beta).exit_code == Exit.OK
    with subtest("the agent also listens on IPv4"):
        assert fleet.agent_listens(beta)
    with subtest("the agent does not listen on the loopback interface"):
        beta.fail("bash -c ': </dev/tcp/127.0.0.1/9244'")

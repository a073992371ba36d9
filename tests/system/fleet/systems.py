"""Systems that a node must roll back on its own, for tests that deploy them once and for tests that do so often."""

import re
from dataclasses import dataclass

from fleet.waggle import Exit
from fleet.waiting import wait_until


def system(word, module="{ }", confirm_timeout=60, activation_timeout=120):
    """A module: a system whose /etc/word is `word`, with a further module.

    Good systems have as much time as a busy machine needs; those that a node must roll back have less.
    """
    return f"""
    {{ pkgs, lib, ... }}: {{
      environment.etc.word.text = "{word}";
      deployment.rollback.confirmTimeout = {confirm_timeout};
      deployment.rollback.activationTimeout = {activation_timeout};
      imports = [ ({module}) ];
    }}
    """


AGENT_EXITS = '{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; }'


@dataclass
class Case:
    """A system that does not work, and what the trigger reports for it."""

    name: str
    code: str | None  # None: any
    reason: str  # a regular expression for the message
    module: str
    activation_timeout: int = 120

    def system(self, word, confirm_timeout=5):
        return system(word, self.module, confirm_timeout, self.activation_timeout)


ROLLBACK_CASES = {
    case.name: case
    for case in [
        Case(
            "network",
            "not-confirmed",
            "was not confirmed within 5 s",
            """{ systemd.services.cut = {
                wantedBy = [ "multi-user.target" ];
                serviceConfig = { Type = "oneshot"; RemainAfterExit = true; ExecStop = "/usr/sbin/nft delete table inet cut"; };
                script = "/usr/sbin/nft add table inet cut; /usr/sbin/nft add chain inet cut in \\"{ type filter hook input priority 0; policy drop; }\\"";
            }; }""",
        ),
        Case("exits", "not-confirmed", "was not confirmed within 5 s", AGENT_EXITS),
        Case(
            "hangs",
            "not-confirmed",
            "was not confirmed within 5 s",
            """{ systemd.services.waggle-agent.serviceConfig = {
                Type = lib.mkForce "simple"; ExecStart = lib.mkForce "/bin/sleep infinity"; }; }""",
        ),
        # A system without the unit is refused before it is activated (test_operators.py); this one loses it.
        Case(
            "absent",
            "agent-not-started",
            "the new system's agent could not be started",
            '{ system.activationScripts.lose = "rm /etc/systemd/system/waggle-agent.service"; }',
        ),
        # A mount that fails starts emergency mode, which stops nearly everything: what is noticed first differs, but the
        # mount is always named.
        Case(
            "mount",
            None,
            r"data\.mount",
            """{ systemd.mounts = [ {
                what = "/dev/does-not-exist"; where = "/data"; type = "ext4"; requiredBy = [ "local-fs.target" ]; } ]; }""",
        ),
        Case(
            "endless",
            "activation-timeout",
            "the activation did not end within 4 s",
            '{ system.activationScripts.hang = "sleep 1000"; }',
            activation_timeout=4,
        ),
    ]
}


def check_rolled_back(subtest, fleet, node, run, reason, word="good", code=None):
    """After the run of waggle that deployed such a system: node and trigger agree that the previous one runs again.

    `reason` is a regular expression for the message. Without `code`, the code may be any.
    """
    result = run.nodes[node.name]
    with subtest(f"{node}: the exit code says rolled back"):
        assert run.exit_code == Exit.ROLLED_BACK
    with subtest(f"{node}: the outcome is rolled-back"):
        assert result["outcome"] == "rolled-back"
    with subtest(f"{node}: the output gives the reason"):
        assert re.search(reason, result["message"], re.IGNORECASE)
        assert code in (None, result["code"])
    with subtest(f"{node} runs the old system"):
        assert node.word() == word
    with subtest(f"{node} boots the old system"):
        assert node.profile() == node.system()
    wait_until(f"no unit of the deployment is left on {node}", lambda: fleet.no_unit_is_left(node), 30)
    fleet.wait_for_agents(node)

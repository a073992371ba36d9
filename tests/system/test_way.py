"""Connections to a node by ssh's rules: names and aliases from its configuration, a closed port reached by `ssh -W`
through a real sshd, also behind a jump host; keys in an ssh-agent; waggle whoami."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from fleet import AGENT_PORT, Exit, wait_until

NODES = ["alpha", "beta"]


class Ssh:
    """ssh's configuration on the laptop, and an SSH server in each node's network: the nodes themselves have none."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.login = fleet.make_key("login")
        self.authorized = fleet.run / "authorized"
        self.config = fleet.run / "ssh_config"
        self._servers = {}
        self.admit_login()
        self.configure()

    def configure(self, more=""):
        """Writes ssh's configuration, with further lines before those that hold for every host."""
        self.config.write_text(
            more
            + f"""
            Host *
              UserKnownHostsFile {self.fleet.known_hosts}
              IdentityFile {self.login}
              IdentitiesOnly yes
              User root
            """
        )

    def admit_login(self):
        self.authorized.write_text(self.fleet.public_key(self.login) + "\n")

    def admit_nobody(self):
        self.authorized.write_text("")

    def start_server(self, node, setting=""):
        """Starts the node's SSH server, after the end of the one that runs, if any."""
        self.stop_server(node)
        Path("/run/sshd").mkdir(exist_ok=True)
        config = self.fleet.run / f"sshd-{node}"
        settings = [
            f"ListenAddress {node.address}",
            f"HostKey {node.root}/etc/ssh/ssh_host_ed25519_key",
            f"AuthorizedKeysFile {self.authorized}",
            "StrictModes no",
            "UsePAM no",
            "PidFile none",
            setting,
        ]
        config.write_text("\n".join(settings) + "\n")
        with open(self.fleet.run / f"sshd-{node}.log", "ab") as log:
            command = ["ip", "netns", "exec", f"waggle-{node}", "/usr/sbin/sshd", "-D", "-e", "-f", config]
            self._servers[node] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(f"sshd of {node} listens", lambda: node.is_port_open(22), 20)

    def stop_server(self, node):
        if server := self._servers.pop(node, None):
            server.terminate()
            server.wait(20)

    def stop(self):
        for node in list(self._servers):
            self.stop_server(node)


@pytest.fixture(scope="module")
def ssh(fleet):
    ssh = Ssh(fleet)
    try:
        for node in fleet:
            ssh.start_server(node)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSH_CONFIG_FILE", str(ssh.config))
            yield ssh
    finally:
        ssh.stop()


@pytest.fixture(scope="module")
def agent(fleet, ssh):
    """An ssh-agent with the operator's key and the one for logins."""
    socket = fleet.run / "agent"
    output = subprocess.run(["ssh-agent", "-a", socket], stdout=subprocess.PIPE, text=True, check=True).stdout
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", fleet.operator, ssh.login], check=True)
        yield socket
    os.kill(int(re.search(r"SSH_AGENT_PID=(\d+)", output)[1]), signal.SIGTERM)


def describe(fleet, node, word):
    fleet.configure(node, f'{{ environment.etc.word.text = "{word}"; }}')


def write(path, *lines):
    path.write_text("".join(line + "\n" for line in lines))
    return path


def close_port(node):
    """Closes the agent's port to the outside; the node still reaches itself."""
    node.in_network(
        *("nft", "-f", "-"),
        stdin=f"""table inet waggle_closed {{
            chain input {{
                type filter hook input priority 0; iifname "uplink" tcp dport {AGENT_PORT} reject with tcp reset;
            }}
        }}""",
    )


def test_a_name_and_an_alias_from_sshs_configuration(fleet, ssh, alpha, subtest):
    fleet.settings["nodes"]["alpha"]["address"] = "attic"
    fleet.write_settings()
    ssh.configure(f"Host attic\n  HostName {alpha.address}\n  HostKeyAlias Queen\n")
    line = f"queen {alpha.host_key()}"
    aliases = write(fleet.run / "aliases", line)
    describe(fleet, alpha, "one")
    with subtest("waggle finds the node and knows its host key"):
        assert fleet.apply(on=alpha, known_hosts=aliases).exit_code == Exit.OK
    with subtest("alpha is deployed"):
        assert alpha.word() == "one"

    run = fleet.status(on=alpha)
    with subtest("without the alias in known_hosts, the host key is unknown"):
        assert run.exit_code == Exit.REFUSED
        assert "no host key is known for queen" in run.message(alpha)
    with subtest("the error prints the whole line to add, with the alias"):
        assert line in run.message(alpha)

    revoked = write(fleet.run / "revoked", line, f"@revoked * {alpha.host_key()}")
    run = fleet.status(on=alpha, known_hosts=revoked)
    with subtest("a revoked key is refused"):
        assert run.exit_code == Exit.REFUSED
    with subtest("the error mentions @revoked"):
        assert "@revoked" in run.message(alpha)
    fleet.settings["nodes"]["alpha"]["hostKey"] = alpha.host_key()
    fleet.write_settings()
    run = fleet.status(on=alpha, known_hosts=revoked)
    with subtest("a revoked key is refused even if the hive pins it"):
        assert run.exit_code == Exit.REFUSED
        assert "@revoked" in run.message(alpha)
    fleet.reset_settings()
    ssh.configure()


def test_a_closed_port(fleet, ssh, alpha, subtest):
    close_port(alpha)
    with subtest("the node is unreachable"):
        assert fleet.status(on=alpha).exit_code == Exit.UNREACHABLE
    describe(fleet, alpha, "two")
    with subtest("--via ssh reaches the node"):
        assert fleet.apply("--via", "ssh", on=alpha).exit_code == Exit.OK
    with subtest("alpha is deployed"):
        assert alpha.word() == "two"

    wrong_key = " ".join(fleet.public_key(ssh.login).split()[:2])
    wrong_hosts = write(fleet.run / "wrong_hosts", f"{alpha.address} {wrong_key}")
    run = fleet.status("--via", "ssh", on=alpha, known_hosts=wrong_hosts)
    with subtest("--via ssh also checks the pin"):
        assert run.exit_code == Exit.REFUSED
    with subtest("the error is about the host key"):
        assert "host key" in run.message(alpha)

    ssh.admit_nobody()
    run = fleet.status("--via", "ssh", on=alpha)
    with subtest("without a login, the node is unreachable"):
        assert run.exit_code == Exit.UNREACHABLE
    with subtest("the error shows ssh's own message"):
        assert "Permission denied" in run.message(alpha)
    ssh.admit_login()

    ssh.start_server(alpha, "AllowTcpForwarding no")
    run = fleet.status("--via", "ssh", on=alpha)
    with subtest("the node is unreachable because of AllowTcpForwarding"):
        assert run.exit_code == Exit.UNREACHABLE
    with subtest("the error names AllowTcpForwarding"):
        assert run.says("^alpha .*ssh leads to no agent: administratively prohibited.*AllowTcpForwarding")

    alpha.succeed("systemctl stop waggle-agent.socket waggle-agent")
    ssh.start_server(alpha)
    run = fleet.status("--via", "ssh", on=alpha)
    with subtest("the node is unreachable because of the agent"):
        assert run.exit_code == Exit.UNREACHABLE
    with subtest("the error says to check the agent's unit"):
        assert run.says("^alpha .*ssh leads to no agent: connect failed.*systemctl status waggle-agent")
    alpha.succeed("systemctl start waggle-agent.socket waggle-agent")


def test_behind_a_jump_host(fleet, ssh, alpha, beta, subtest):
    # The laptop can reach alpha only through beta.
    ssh.configure(f"Host {alpha.address}\n  ProxyJump {beta.address}\n")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")
    laptop_address = f"10.83.{alpha.index}.1"
    rule = f"add rule inet waggle_closed input ip saddr {laptop_address} tcp dport 22 reject"
    alpha.in_network("nft", *rule.split())
    with subtest("alpha's SSH server is closed to the laptop"):
        assert not alpha.is_port_open(22)
    describe(fleet, alpha, "three")
    with subtest("waggle uses the jump host from ssh's configuration"):
        assert fleet.apply("--via", "ssh", on=alpha).exit_code == Exit.OK
    with subtest("alpha is deployed"):
        assert alpha.word() == "three"
    ssh.configure()


def test_a_key_in_an_ssh_agent(fleet, ssh, agent, beta, subtest):
    # Without the private key beside it.
    mine = write(fleet.run / "mine.pub", fleet.public_key(fleet.operator))
    run = fleet.waggle("whoami", on=beta, identity=mine)
    with subtest("the public key selects the key in the ssh-agent"):
        assert run.exit_code == Exit.OK
        assert run.result["publicKey"].split()[:2] == fleet.public_key(fleet.operator).split()[:2]
    with subtest("whoami says that the key is in the ssh-agent"):
        assert "ssh-agent (operator@laptop)" in run.result["keyOrigin"]
    with subtest("whoami says that beta admits the key"):
        assert run.nodes["beta"]["admitsYou"] == "yes"
    with subtest("whoami does not warn about a forwarded agent"):
        assert not run.says("forwarded")

    connection = {"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}
    run = fleet.apply(on=beta, identity=mine, environment=connection)
    with subtest("a deployment with this key succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("waggle warns about an agent that looks forwarded"):
        assert run.says("forwarded")

    run = fleet.waggle("whoami", on=beta, identity=ssh.login.with_name("login.pub"))
    with subtest("a key that is no operator's is refused"):
        assert run.exit_code == Exit.REFUSED
    with subtest("whoami says that beta does not admit the key"):
        assert run.nodes["beta"]["admitsYou"] == "no"

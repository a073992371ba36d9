"""An unprivileged process on a node that takes the agent's port as soon as it is free."""

from fleet.machine import FILES
from fleet.waiting import wait_until


class PortTaker:
    """Runs on the node before any other service, from the next boot on; start() starts it now."""

    def __init__(self, node):
        self.node = node
        (node.root / "usr/lib/waggle-test/take-port").write_text((FILES / "take-port").read_text())
        node.install_unit("port-taker.service", wanted_by="basic.target")

    def start(self):
        self.node.succeed(
            "systemctl unmask --runtime port-taker && systemctl daemon-reload && systemctl start port-taker"
        )
        wait_until(f"the port taker runs on {self.node}", self.is_trying, 20)

    def stop(self):
        """Stops it until start(): a switch or a rollback does not start it again."""
        self.node.succeed("systemctl mask --runtime --now port-taker")

    def is_trying(self):
        """It runs, and has not failed: it tries to open sockets all the time."""
        state = self.node.succeed("systemctl show --property=NRestarts,SubState --value port-taker")
        return state.split() == ["0", "running"]

    def forget(self):
        """From now on, has_had_port() is about the time after this call."""
        (self.node.root / "var/lib/port-taker/taken").unlink(missing_ok=True)

    def has_had_port(self):
        taken = self.node.root / "var/lib/port-taker/taken"
        return taken.exists() and taken.stat().st_size > 0

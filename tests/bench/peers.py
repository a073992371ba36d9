"""The other tools that copy closures to a node, through a real sshd in the node's network, whose sessions run on the node."""

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

from fleet import wait_until

from meter import own

# Colmena calls nix-copy-closure with these options for a hive.nix, and nix copy for a flake; deploy-rs calls nix copy.
COMMANDS = {
    "nix_copy": "nix copy --no-check-sigs --to ssh://root@{host} {path}",
    "nix_copy_ng": "nix copy --no-check-sigs --to ssh-ng://root@{host} {path}",
    "nix_copy_ng_gzip": "nix copy --no-check-sigs --substitute-on-destination --to ssh-ng://root@{host}?compress=true {path}",
    "nix_copy_closure": "nix-copy-closure --to root@{host} {path}",
    "nix_copy_closure_gzip": "nix-copy-closure --to --include-outputs --use-substitutes --gzip root@{host} {path}",
}
ALL = ["nix_copy", "nix_copy_ng", "nix_copy_closure", "nix_copy_closure_gzip"]
COMPRESSING = ["nix_copy_ng_gzip", "nix_copy_closure_gzip"]


@contextmanager
def ssh_server(fleet, node, group):
    """The node's SSH server, as a process of the group; the options with which Nix calls ssh."""
    Path("/run/sshd").mkdir(exist_ok=True)
    login = fleet.make_key("login")
    enter, config = fleet.run / "enter-node", fleet.run / "sshd_config"
    enter.write_text(
        f"""#!/bin/sh
        export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
        exec nsenter -t {node.leader()} -a /bin/sh -c "$SSH_ORIGINAL_COMMAND"
        """
    )
    enter.chmod(0o755)
    settings = [
        f"ListenAddress {node.address}",
        f"HostKey {node.root}/etc/ssh/ssh_host_ed25519_key",
        f"AuthorizedKeysFile {login}.pub",
        f"ForceCommand {enter}",
        "StrictModes no",
        "UsePAM no",
        "PidFile none",
    ]
    config.write_text("\n".join(settings) + "\n")
    options = {
        "UserKnownHostsFile": fleet.known_hosts,
        "IdentityFile": login,
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
    }
    command = ["ip", "netns", "exec", f"waggle-{node}", "/usr/sbin/sshd", "-D", "-e", "-f", config]
    with open(fleet.run / "sshd.log", "ab") as log:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=group.join, start_new_session=True
        )
    with own(server):
        wait_until(f"sshd of {node} listens", lambda: node.is_port_open(22), 20)
        yield "-F /dev/null " + " ".join(f"-o {name}={value}" for name, value in options.items())


def start(name, host, path, ssh_options, log, group):
    """Starts one of the commands as a process of the group; it writes to the file `log`."""
    with open(log, "wb") as output:
        return subprocess.Popen(
            COMMANDS[name].format(host=host, path=path).split(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"NIX_SSHOPTS": ssh_options},
            preexec_fn=group.join,
            start_new_session=True,
        )

"""The machine on which a test's trigger runs: this process, started again in its own namespaces.

Mounts, network, processes and /nix are private from then on: nothing on the developer's machine changes, two runs do
not see each other, and when this process dies, even by SIGKILL, the kernel ends every process, mount and network
interface of the run. The nodes run Debian bookworm, or $WAGGLE_NODE_SUITE.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

SOURCE = Path(os.environ.get("WAGGLE_SOURCE_DIR") or Path(__file__).resolve().parents[3])
BUILD = Path(os.environ.get("WAGGLE_BUILD_DIR") or SOURCE / "build/dev")
CACHE = Path(
    os.environ.get("WAGGLE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "waggle"
)
SUITE = os.environ.get("WAGGLE_NODE_SUITE", "bookworm")

RUN = CACHE / "run"  # in memory, and gone at the end; an empty folder on the outside
RUN_ID = uuid.uuid4().hex[:8]  # differs from every other run's
TOOLS = ["unshare", "nsenter", "systemd-nspawn", "ip", "nft", "nix-store", "ssh-keygen"]
STORE_LIMIT_MIB = 4096

_store_lock = None


def enter():
    """Starts this program again in its own namespaces, or, if that has been done, prepares them."""
    if os.environ.get("WAGGLE_INSIDE_LAPTOP") == "1" and os.getpid() == 1:
        _prepare()
        return
    name = Path(sys.argv[0]).name
    if os.geteuid() != 0:
        sys.exit(f"{name}: boots containers, which needs root")
    for tool in TOOLS:
        if not shutil.which(tool):
            sys.exit(f"{name}: '{tool}' is not installed: run ./dev setup")
    # Made now, while there is a network.
    root = subprocess.run([SOURCE / "tests/system/roots.sh", "node", SUITE], stdout=subprocess.PIPE, text=True)
    if root.returncode != 0:
        sys.exit(1)
    os.environ |= {
        "WAGGLE_NODE_ROOT": root.stdout.strip(),
        "WAGGLE_NODE_SUITE": SUITE,
        "WAGGLE_CACHE": str(CACHE),
        "WAGGLE_INSIDE_LAPTOP": "1",
    }
    # Ctrl-C reaches the whole process group: unshare must outlive it, so that the program inside can clean up.
    unshare = "unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private"
    command = ["env", "--ignore-signal=INT", *unshare.split(), "env", "--default-signal=INT", sys.executable, *sys.argv]
    os.execvp(command[0], command)


def _prepare():
    # The first process of a namespace ignores signals that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    RUN.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", "mode=755", "waggle-run", RUN)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if SUITE != "bookworm":
        # Newer versions of systemd refuse to boot where the hierarchies of cgroup v1 are mounted besides that of v2.
        subprocess.run(["umount", "-R", "/sys/fs/cgroup"], check=True)
        _mount("-t", "cgroup2", "waggle-cgroups", "/sys/fs/cgroup")
    _prune_store()
    for folder in ["/run/netns", "/nix", CACHE / "host-nix/store", RUN / "home/.ssh", RUN / "nix-conf"]:
        Path(folder).mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", "mode=755", "waggle-netns", "/run/netns")
    _mount("--bind", CACHE / "host-nix", "/nix")
    settings = ["sandbox = false", "substituters =", "build-users-group =", "experimental-features = nix-command"]
    (RUN / "nix-conf/nix.conf").write_text("\n".join(settings) + "\n")
    os.environ |= {
        "HOME": str(RUN / "home"),
        "NIX_CONF_DIR": str(RUN / "nix-conf"),
        "NIX_PATH": f"nixpkgs={SOURCE}/tests/hives/nixpkgs",
        "WAGGLE_NIXOS_MODULE": str(SOURCE / "nixos-module"),
    }
    for name in ["NIX_REMOTE", "SSH_AUTH_SOCK"] + [f"XDG_{kind}_HOME" for kind in ("CACHE", "CONFIG", "DATA", "STATE")]:
        os.environ.pop(name, None)
    # One after another: of two processes that open a new store at the same time, one can fail.
    with open(CACHE / "host-nix.init", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["nix-store", "--init"], check=True)


def _mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def _prune_store():
    """Deletes a store that has grown too large, unless another run uses it.

    Every build of the agent leaves one or two store paths. Each run holds the lock, shared, until its last process ends.
    """
    global _store_lock
    store = CACHE / "host-nix"
    store.mkdir(parents=True, exist_ok=True)
    _store_lock = open(CACHE / "host-nix.lock", "w")
    os.set_inheritable(_store_lock.fileno(), True)
    try:
        fcntl.flock(_store_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = subprocess.run(["du", "-sm", store], stdout=subprocess.PIPE, text=True).stdout.split()
        if size and int(size[0]) > STORE_LIMIT_MIB:
            shutil.rmtree(store)
    except BlockingIOError:
        pass
    fcntl.flock(_store_lock, fcntl.LOCK_SH)

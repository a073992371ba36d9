"""A test node: an overlay in memory on the cached root, booted by systemd-nspawn in its own network and cgroups.

A unit of the tests plays the boot loader, see files/boot.
"""

import ctypes
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

from fleet import laptop
from fleet.keys import make_key
from fleet.waiting import wait_until

BOOT_TIMEOUT = 300  # seconds; a boot takes about one, and systemd may wait 90 for a unit that does not stop
AGENT = "/run/current-system/sw/bin/waggle-agent"  # on a node
FILES = Path(__file__).parent / "files"
NSENTER = shutil.which("nsenter")
REBOOT = 133  # systemd-nspawn's exit code when the node reboots

SYS_OPENAT2 = 437
RESOLVE_IN_ROOT = 0x10
_libc = ctypes.CDLL(None, use_errno=True)


class IsOff(Exception):
    """The node is not running."""


class Machine:
    """A node. `root` is its file system as the laptop sees it, without what the node itself mounts, such as /run."""

    def __init__(self, name, index):
        self.name = name
        self.index = index
        self.address = f"10.83.{index}.2"
        self.folder = laptop.RUN / "nodes" / name
        self.root = self.folder / "root"
        self.console = self.folder / "console"
        self._nspawn = None
        self._power = None
        self._cgroups = []
        self._create()

    def __str__(self):
        return self.name

    # --- commands ---

    def execute(self, command, timeout=120, stdin=None):
        """Runs a shell command as root on the node; its exit code and its output without the last newline."""
        result = self._run(command, timeout, stdin)
        return result.returncode, result.stdout

    def succeed(self, command, timeout=120, stdin=None):
        """Runs a shell command, which must succeed; its output without the last newline."""
        result = self._run(command, timeout, stdin)
        assert (
            result.returncode == 0
        ), f"{self}: {command!r} ended with {result.returncode}: {result.stdout}{result.stderr}"
        return result.stdout

    def fail(self, command, timeout=120):
        """Runs a shell command, which must fail; its output."""
        result = self._run(command, timeout, None)
        assert result.returncode != 0, f"{self}: {command!r} succeeded: {result.stdout}"
        return result.stdout

    def agent(self, command):
        """Runs a command of waggle-agent at the node's console; its exit code and all that it prints."""
        return self.execute(f"{AGENT} {command} 2>&1")

    def _run(self, command, timeout, stdin):
        # A node that shuts down stops every process in it, and waits until each one that it killed is reaped. nsenter
        # would stop with its child and never reap it; a shell that is not itself a process of the node (-F) ignores
        # that its child is stopped.
        script = f"export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8; ({command}\n)\nexit $?"
        arguments = [NSENTER, "-F", "-t", str(self.leader()), "-a", "/bin/sh", "-c", script]
        process = subprocess.Popen(
            arguments,
            env={},
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise AssertionError(f"{self}: {command!r} did not end within {timeout} s") from None
        return subprocess.CompletedProcess(arguments, process.returncode, output.removesuffix("\n"), errors)

    # --- files, read without starting a process ---

    def read(self, path):
        """The text of a file on the node, or None if there is none."""
        descriptor = self._open(path, os.O_RDONLY)
        if descriptor is None:
            return None
        with open(descriptor, encoding="utf-8", errors="replace") as file:
            return file.read()

    def exists(self, path):
        descriptor = self._open(path, os.O_PATH)
        if descriptor is None:
            return False
        os.close(descriptor)
        return True

    def realpath(self, path):
        """The path without symbolic links, or None."""
        descriptor = self._open(path, os.O_PATH)
        if descriptor is None:
            return None
        try:
            return os.readlink(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)

    def _open(self, path, flags):
        try:
            root = os.open(f"/proc/{self.leader()}/root", os.O_PATH | os.O_DIRECTORY)
        except (IsOff, OSError):
            return None
        try:
            how = (ctypes.c_uint64 * 3)(flags | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT)
            descriptor = _libc.syscall(SYS_OPENAT2, root, str(path).encode(), how, ctypes.sizeof(how))
            return descriptor if descriptor >= 0 else None
        finally:
            os.close(root)

    def system(self):
        """The store path of the system that runs."""
        return self.realpath("/run/current-system")

    def profile(self):
        """The store path of the system that boots by default."""
        return self.realpath("/nix/var/nix/profiles/system")

    def word(self):
        """environment.etc.word.text of the running system, by which tests tell systems apart."""
        return self.read("/etc/word")

    # --- units ---

    def systemctl(self, arguments):
        return self.execute(f"systemctl {arguments}")

    def get_unit_property(self, unit, name):
        return self.succeed(f"systemctl show -P {name} {shlex.quote(unit)}")

    def unit_state(self, unit):
        return self.execute(f"systemctl is-active {shlex.quote(unit)}")[1]

    def is_active(self, unit):
        return self.execute(f"systemctl is-active -q {shlex.quote(unit)}")[0] == 0

    def require_unit_state(self, unit, state="active"):
        actual = self.unit_state(unit)
        assert actual == state, f"{self}: {unit} is {actual}, not {state}"

    def wait_for_unit(self, unit, timeout=60):
        wait_until(f"{unit} of {self} is active", lambda: self.is_active(unit), timeout)

    def wait_for_unit_state(self, unit, state, timeout=60):
        wait_until(f"{unit} of {self} is {state}", lambda: self.unit_state(unit) == state, timeout)

    def wait_until_succeeds(self, command, timeout=60):
        wait_until(f"{command!r} succeeds on {self}", lambda: self._succeeds(command), timeout)

    def wait_until_fails(self, command, timeout=60):
        wait_until(f"{command!r} fails on {self}", lambda: not self._succeeds(command), timeout)

    def _succeeds(self, command):
        try:
            return self.execute(command)[0] == 0
        except IsOff:
            return False

    def journal(self, options=""):
        return self.execute(f"journalctl --no-pager -q -o short-precise {options}")[1]

    # --- power ---

    def start(self, wait=True):
        """Switches the node on."""
        assert not self.is_on(), f"{self} is on already"
        self._power = threading.Thread(target=self._keep_running, name=f"power of {self}")
        self._power.start()
        if wait:
            self.wait_until_up()

    def is_on(self):
        return self._power is not None and self._power.is_alive()

    def is_up(self):
        try:
            return self.execute("systemctl is-system-running", timeout=20)[1] in ("running", "degraded")
        except (IsOff, AssertionError):
            return False

    def wait_until_up(self):
        wait_until(f"{self} is up", self.is_up, BOOT_TIMEOUT, self._how_far_it_is)

    def _how_far_it_is(self):
        """What keeps a node from being up, or from rebooting."""
        found = [f"\nThe end of {self}'s console:\n{self._end_of_console(40)}"]
        for command in (
            "cat /proc/sys/kernel/random/boot_id",
            "systemctl is-system-running",
            "systemctl list-jobs",
            "systemctl --failed --plain --no-legend",
            "ps -eo pid,ppid,stat,etimes,wchan:20,args",
            "journalctl -b -n 60 --no-pager -o short-precise",
        ):
            try:
                found.append(f"{command}:\n{self.execute(command + ' 2>&1', timeout=20)[1]}")
            except (IsOff, AssertionError) as error:
                found.append(f"{command}: {error}")
        return "\n".join(found)

    def crash(self):
        """A power cut. The laptop's page cache survives it, so a missing fsync does not show: see faults.py."""
        try:
            leader = self.leader()
        except IsOff:
            leader = None
        if leader is not None:
            # Stops every process before any is killed: none may see systemd die and write to the disk because of it.
            for process in self._processes(leader):
                _kill(process, signal.SIGSTOP)
            _kill(leader, signal.SIGKILL)  # killing systemd-nspawn instead would leave the node running
        self._wait_until_off(20)

    def shutdown(self):
        self.execute("systemctl --no-block poweroff")  # its reply may be lost
        self._wait_until_off(60)

    def reboot(self):
        before = self.boot_id()
        self.begin_reboot()
        self.wait_for_reboot(before)

    def begin_reboot(self):
        self.execute("systemctl --no-block reboot")  # its reply may be lost

    def wait_for_reboot(self, before):
        """Waits until the node has another boot ID than `before` and is up."""
        has_rebooted = lambda: self.has_rebooted(before) and self.is_up()
        wait_until(f"{self} has rebooted", has_rebooted, BOOT_TIMEOUT, self._how_far_it_is)

    def has_rebooted(self, before):
        # Between two boots, the laptop's own ID can show.
        return self.boot_id() not in (before, None, Path("/proc/sys/kernel/random/boot_id").read_text().strip())

    def boot_id(self):
        text = self.read("/proc/sys/kernel/random/boot_id")
        return text.strip() if text else None

    def leader(self):
        """The process ID that the node's systemd has on the laptop."""
        nspawn = self._nspawn
        try:
            return int(Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split()[0])
        except (AttributeError, OSError, IndexError):
            raise IsOff(f"{self} is off") from None

    def cgroup(self):
        """The folder in cgroup v2 of all the node's processes; only valid while the node is on."""
        return next(folder for folder in self._cgroups if (folder / "cpu.stat").exists())

    def _wait_until_off(self, timeout):
        wait_until(f"{self} is off", lambda: not self.is_on(), timeout)

    def _keep_running(self):
        self._cgroups = [self._make_cgroup(folder) for folder in _cgroup_folders(f"{laptop.RUN_ID}.{self.name}")]
        status = REBOOT
        while status == REBOOT:
            for folder in self._cgroups:
                self._make_cgroup(folder)
                _empty_cgroup(folder)
            # Units come from the system that boots, never from the one that ran before.
            for entry in (self.root / "etc/systemd/system").iterdir():
                _remove(entry)
            join = "".join(f"echo $$ >{shlex.quote(str(folder))}/cgroup.procs && " for folder in self._cgroups)
            # With a name each, or all nodes would share (and remove) one folder below /run/systemd/nspawn.
            nspawn = (
                f"systemd-nspawn -q -D {self.root} --boot --network-namespace-path=/run/netns/waggle-{self.name}"
                f" --register=no --keep-unit --machine={self.name}-{laptop.RUN_ID} --capability=CAP_NET_ADMIN"
                f" --hostname={self.name} --timezone=off --resolv-conf=off"
            )
            with open(self.console, "ab") as console:
                self._nspawn = subprocess.Popen(
                    ["sh", "-c", join + "exec " + nspawn], stdin=subprocess.DEVNULL, stdout=console, stderr=console
                )
            status = self._nspawn.wait()
            # Another run cleaned up between the creation of a folder and its use.
            if status in (1, 2) and re.search(r"Failed to .*cgroup|cgroup\.procs", self._end_of_console()):
                status = REBOOT
        self._nspawn = None

    def _end_of_console(self, lines=2):
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-lines:])

    @staticmethod
    def _make_cgroup(folder):
        # Removes what killed runs left; folders in use cannot be removed. Keeps young ones, because those of a node
        # that is just starting are also empty.
        folder.mkdir(parents=True, exist_ok=True)
        for other in folder.parent.iterdir():
            if other != folder and other.is_dir() and time.time() - other.stat().st_mtime > 3600:
                _empty_cgroup(other, tries=1)
                _rmdir(other)
        return folder

    @staticmethod
    def _processes(leader):
        namespace = os.stat(f"/proc/{leader}/ns/pid").st_ino
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.stat(entry / "ns/pid").st_ino == namespace:
                    yield int(entry.name)
            except OSError:
                continue  # it has ended

    # --- network ---

    def block(self):
        """Cuts the node's network."""
        self._nft(
            """table inet waggle_cut {
                chain input { type filter hook input priority 0; policy drop; }
                chain output { type filter hook output priority 0; policy drop; }
            }"""
        )

    def unblock(self):
        self._nft("delete table inet waggle_cut")

    @contextmanager
    def slow(self):
        """Limits what the node receives to 1 MB/s."""
        self._nft(
            """table inet waggle_slow {
                chain input { type filter hook input priority 0; iifname "uplink" limit rate over 1 mbytes/second burst 256 kbytes drop; }
            }"""
        )
        try:
            yield
        finally:
            self._nft("delete table inet waggle_slow")

    def _nft(self, rules):
        self.in_network("nft", "-f", "-", stdin=rules)

    def in_network(self, *command, stdin=None):
        """Runs one of the laptop's programs in the node's network."""
        inside = ["ip", "netns", "exec", f"waggle-{self.name}", *map(str, command)]
        subprocess.run(inside, input=stdin, text=True, check=True)

    def is_port_open(self, port):
        import socket

        try:
            socket.create_connection((self.address, port), timeout=5).close()
            return True
        except OSError:
            return False

    def bytes_received(self):
        """How many bytes the laptop has sent to the node so far."""
        for line in Path("/proc/net/dev").read_text().splitlines():
            interface, _, counters = line.partition(":")
            if interface.strip() == f"node{self.index}":
                return int(counters.split()[8])
        raise AssertionError(f"{self} has no network interface")

    # --- keys ---

    def host_key(self):
        return " ".join((self.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2])

    def known_hosts_line(self):
        return f"{self.address} {self.host_key()}"

    # --- Nix ---

    def install_system(self, toplevel):
        """Copies a system there and makes the node boot it."""
        copy = ["nix", "copy", "--no-check-sigs", "--to", f"local?root={self.root}", toplevel]
        result = subprocess.run(copy, stderr=subprocess.PIPE, text=True)
        assert result.returncode == 0, f"{toplevel} was not copied to {self}: {result.stderr}"
        profiles = self.root / "nix/var/nix/profiles"
        (profiles / "system-1-link").symlink_to(toplevel)
        (profiles / "system").symlink_to("system-1-link")
        (self.root / "boot/loader/default").write_text(toplevel + "\n")

    def store_is_sound(self):
        code, output = self.execute("nix-store --verify --check-contents 2>&1", timeout=300)
        assert code == 0, f"the store of {self} is not sound: {output}"
        return True

    # --- what a node is made of ---

    def _create(self):
        for folder in ("upper", "work", "root"):
            (self.folder / folder).mkdir(parents=True)
        options = f"lowerdir={os.environ['WAGGLE_NODE_ROOT']},upperdir={self.folder}/upper,workdir={self.folder}/work"
        subprocess.run(["mount", "-t", "overlay", "-o", options, f"waggle-{self.name}", self.root], check=True)
        self._write("etc/hostname", self.name + "\n")
        self._write("etc/machine-id", uuid.uuid4().hex + "\n")
        for folder in ("var/log/journal", "var/lib/dbus", "boot/loader", "etc/ssh"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        _link(self.root / "var/lib/dbus/machine-id", "/etc/machine-id")
        key = self.root / "etc/ssh/ssh_host_ed25519_key"
        make_key(key, f"root@{self.name}")
        self._write_nix()
        self._write_boot_loader()
        self._write_boot_id_fix()
        # Disables what Debian enables and tests do not need.
        units = self.root / "usr/lib/systemd/system"
        _remove(units / "multi-user.target.wants/getty.target")
        _remove(units / "multi-user.target.wants/systemd-logind.service")
        _remove(units / "multi-user.target.wants/systemd-update-utmp-runlevel.service")
        _remove(units / "sysinit.target.wants/systemd-update-utmp.service")
        for timer in (units / "timers.target.wants").iterdir():
            _remove(timer)
        # Each reload of systemd starts all generators, and nodes need only this one.
        for generator in (self.root / "usr/lib/systemd/system-generators").iterdir():
            if generator.name != "systemd-fstab-generator":
                _remove(generator)
        _link(units / "default.target", "multi-user.target")
        self._make_network()

    def _write(self, path, text, mode=0o644):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def _write_nix(self):
        # Debian's nix-bin contains no units.
        for folder in ("nix/store", "nix/var/nix/profiles"):
            (self.root / folder).mkdir(parents=True)
        self._write("etc/nix/nix.conf", "sandbox = false\nsubstituters =\nbuild-users-group =\n")
        self.install_unit("nix-daemon.socket", wanted_by="sockets.target")
        self.install_unit("nix-daemon.service")

    def _write_boot_loader(self):
        self._write("usr/lib/waggle-test/boot", (FILES / "boot").read_text(), 0o755)
        self.install_unit("waggle-test-boot.service", wanted_by="sysinit.target")

    def install_unit(self, name, wanted_by=None):
        """Copies a unit from files/ to the node."""
        units = "usr/lib/systemd/system"
        self._write(f"{units}/{name}", (FILES / name).read_text())
        if wanted_by:
            wants = self.root / units / f"{wanted_by}.wants"
            wants.mkdir(exist_ok=True)
            _link(wants / name, f"../{name}")

    def _write_boot_id_fix(self):
        """Shows units that have their own /proc the node's own boot ID.

        systemd-nspawn mounts it over the kernel's. A unit with its own /proc does not see that mount (ProtectProc=,
        ProtectKernelTunables=, in some versions ProtectControlGroups=): the agent would see the same boot for ever, and
        no line of this boot's journal.
        """
        if laptop.SUITE == "bookworm":
            settings = "BindReadOnlyPaths=/run/boot_id:/proc/sys/kernel/random/boot_id\n"
        else:  # newer versions of systemd cannot mount that there
            settings = "ProtectProc=default\nProtectKernelTunables=false\n"
        units = "usr/lib/systemd/system"
        self._write(f"{units}/waggle-agent.service.d/boot-id.conf", "[Service]\n" + settings)
        # For the units of secrets, whose names a test chooses. The agent's file has the same name and overrides this one.
        others = "[Service]\nProtectProc=default\nProtectKernelTunables=false\nProtectControlGroups=false\n"
        self._write(f"{units}/service.d/boot-id.conf", others)

    def _make_network(self):
        outside, inside = f"node{self.index}", f"waggle-{self.name}"
        commands = [
            f"ip netns add {inside}",
            f"ip link add {outside} type veth peer name uplink netns {inside}",
            f"ip addr add 10.83.{self.index}.1/30 dev {outside}",
            f"ip link set {outside} up",
            f"ip -n {inside} link set lo up",
            f"ip -n {inside} addr add {self.address}/30 dev uplink",
            f"ip -n {inside} link set uplink up",
            f"ip -n {inside} route add default via 10.83.{self.index}.1",
        ]
        for command in commands:
            subprocess.run(command.split(), check=True)
        # Not every test machine has IPv6.
        ipv6 = f"ip -6 addr add fd83:{self.index}::1/64 dev {outside} nodad"
        if subprocess.run(ipv6.split(), stderr=subprocess.DEVNULL).returncode == 0:
            subprocess.run(f"ip -n {inside} -6 addr add fd83:{self.index}::2/64 dev uplink nodad".split(), check=True)

    def destroy(self):
        """Removes the node; safe at any moment."""
        if self.is_on():
            try:
                _kill(self.leader(), signal.SIGKILL)
            except IsOff:
                pass
            self._power.join(10)
            if self.is_on() and self._nspawn is not None:
                self._nspawn.kill()
                self._power.join(10)
        subprocess.run(["ip", "netns", "delete", f"waggle-{self.name}"], stderr=subprocess.DEVNULL)
        subprocess.run(["umount", "-l", self.root], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)
        for folder in self._cgroups:
            _empty_cgroup(folder, tries=20)
            _rmdir(folder)


def _cgroup_folders(name):
    """A folder for each hierarchy that systemd uses here.

    Every node's systemd manages its own cgroup tree: in a shared one, stopping a unit on one node waits for the unit of
    the same name on another.
    """
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if controllers == "name=systemd":
            pattern = r" - cgroup .*name=systemd"
        elif number == "0":
            pattern = r" - cgroup2 "
        else:
            continue
        mount = next((mount.split()[4] for mount in mounts if re.search(pattern, mount)), None)
        if mount:
            yield Path(mount + path.rstrip("/")) / "waggle-tests" / name


def _empty_cgroup(folder, tries=200):
    """Removes all cgroups in a folder.

    systemd-nspawn creates its folders in one hierarchy only where it finds them in the other: what the previous boot
    left, in which processes may still be dying, must be gone from both.
    """
    for _ in range(tries):
        left = [Path(path) for path, _, _ in os.walk(folder, topdown=False) if Path(path) != folder]
        if not left:
            return
        for path in left:
            _rmdir(path)
        time.sleep(0.05)


def _rmdir(folder):
    try:
        folder.rmdir()
    except OSError:
        pass


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _link(path, target):
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _kill(process, number):
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass

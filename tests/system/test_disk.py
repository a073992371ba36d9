"""Disks that are full or cannot be written: the error is clear, the old system stays intact, and the next deployment
succeeds once there is room."""

import os
import re
import subprocess

from fleet import Exit, wait_until
from fleet.systems import check_rolled_back, system

NODES = ["alpha", "beta"]


def heavy(word, megabytes):
    """A system with a file that no node's store has yet."""
    command = f"head -c {megabytes}000000 /dev/urandom > $out"
    return system(word, f'{{ environment.etc.ballast.source = pkgs.runCommand "ballast-{word}" {{ }} "{command}"; }}')


def with_kernel(word, version, megabytes):
    module = f'{{ system.fixture.kernelVersion = "{version}"; system.fixture.kernelMegabytes = {megabytes}; }}'
    return system(word, module)


def give_small_disk(fleet, node, path, megabytes):
    """Moves a folder of the node to a file system in memory of this size, and boots the node from it.

    Returns the folder as the laptop sees it.
    """
    node.shutdown()
    folder, disk = node.root / path, fleet.run / f"disk-of-{node}"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "small", disk], check=True)
    subprocess.run(["cp", "-a", f"{folder}/.", disk], check=True)
    subprocess.run(["mount", "--bind", disk, folder], check=True)
    subprocess.run(["umount", disk], check=True)
    disk.rmdir()
    fleet.start(node)
    return folder


def fill_up(file):
    """Writes until the disk is full."""
    with open(file, "wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(1 << 20))
        except OSError:
            pass


def free_bytes(folder):
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize


def store_of(node):
    return node.root / "nix"


def test_the_store_fills_up_during_the_transfer(fleet, alpha, subtest):
    fleet.configure(alpha, system("good"))
    with subtest("a good system is kept"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
    agent = (fleet.run / "waggle-agent/bin/waggle-agent").stat().st_size
    store = give_small_disk(fleet, alpha, "nix", 160 + agent // 1_000_000)
    fleet.configure(alpha, heavy("heavy", 30))
    fleet.toplevel(alpha)
    before, received = alpha.system(), alpha.bytes_received()
    with alpha.slow():
        run = fleet.start_waggle("apply", on=alpha)
        wait_until("2 MB are sent", lambda: alpha.bytes_received() - received > 2_000_000, 60)
        fill_up(store / "filled")
    run.wait()
    with subtest("the exit code says failed before activation"):
        assert run.exit_code == Exit.FAILED
        assert run.nodes["alpha"]["code"] == "no-space"
    with subtest("the error gives the reason and a remedy"):
        pattern = "the node's /nix is full: .*nix-collect-garbage.*No space left"
        assert re.search(pattern, run.nodes["alpha"]["message"])
    with subtest("alpha still runs the previous system"):
        assert alpha.system() == before
    with subtest("alpha still boots the previous system"):
        assert alpha.profile() == before
    (store / "filled").unlink()
    with subtest("the deployment succeeds once there is room"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "heavy"
    with subtest("alpha's store is sound"):
        assert alpha.store_is_sound()


def test_too_little_room_for_the_missing_paths(fleet, alpha, subtest):
    before = alpha.system()
    free = free_bytes(store_of(alpha))
    fleet.configure(alpha, heavy("larger", free // 1_000_000 - 40))
    fleet.toplevel(alpha)
    received = alpha.bytes_received()
    run = fleet.apply(on=alpha)
    with subtest("the exit code says failed before activation"):
        assert run.exit_code == Exit.FAILED
        assert run.nodes["alpha"]["code"] == "no-space"
    with subtest("the error says how much is free and how much is missing"):
        found = re.search(
            "/nix/store has ([0-9]+) MiB free, but ([0-9]+) MiB are missing", run.nodes["alpha"]["message"]
        )
        assert abs(int(found[1]) - (free >> 20)) <= 1
        assert 0 < int(found[2]) <= int(found[1])
    with subtest("no path is sent"):
        assert alpha.bytes_received() - received <= 2_000_000
        assert run.nodes["alpha"]["bytesSent"] == 0
    with subtest("alpha still runs the previous system"):
        assert alpha.system() == before
    fleet.configure(alpha, system("good"))
    with subtest("a smaller deployment succeeds"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
        assert alpha.word() == "good"


def test_the_store_is_full_during_an_activation_and_its_rollback(fleet, alpha, subtest):
    # The activation fills the disk that has the store and fails; the rollback needs no room there.
    script = "head -c 1000000000 /dev/zero > /nix/filled; echo it is full >&2; exit 1"
    module = f'{{ system.activationScripts.fill = "{script}"; }}'
    fleet.configure(alpha, system("filling", module, confirm_timeout=5))
    run = fleet.apply(on=alpha)
    check_rolled_back(subtest, fleet, alpha, run, "switch-to-configuration test: exit code 2", code="activation-failed")
    with subtest("the log has what the activation printed on the full disk"):
        assert "it is full" in run.nodes["alpha"]["log"]
        assert "No space left on device" in run.message(alpha)
    with subtest("the disk is full"):
        assert free_bytes(store_of(alpha)) <= 100_000
    (store_of(alpha) / "filled").unlink()
    fleet.configure(alpha, system("better"))
    with subtest("the next deployment succeeds once there is room"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "better"


def test_nix_cannot_be_written(fleet, alpha, subtest):
    before = alpha.system()
    fleet.configure(alpha, system("good"))
    # All its paths are there, so only the commit needs to write.
    assert fleet.apply("push", on=alpha).exit_code == Exit.OK
    # A Nix daemon that runs has its own mounts and can still write. One that begins where it cannot write takes its own
    # socket for the store, and starts processes without end.
    alpha.require_unit_state("nix-daemon")
    alpha.succeed("mount -o remount,ro,bind /nix")
    run = fleet.apply(on=alpha)
    with subtest("the deployment fails"):
        assert run.exit_code == Exit.ROLLED_BACK
        assert run.nodes["alpha"]["code"] == "profile-failed"
    with subtest("the error gives the reason"):
        assert run.nodes["alpha"]["message"].startswith("setting the system profile: ")
        assert re.search("error: .*/nix/var/nix/profiles/system-.*: Read-only file system", run.message(alpha))
    with subtest("alpha still runs the previous system"):
        assert alpha.system() == before
    with subtest("alpha still boots the previous system"):
        assert alpha.profile() == before
    wait_until("no unit of the deployment is left on alpha", lambda: fleet.no_unit_is_left(alpha), 30)
    alpha.succeed("mount -o remount,rw,bind /nix")
    with subtest("the next deployment succeeds once /nix is writable"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "good"
    with subtest("alpha's store is sound"):
        assert alpha.store_is_sound()


def test_the_state_directory_is_full_during_an_activation_and_its_rollback(fleet, beta, subtest):
    fleet.configure(beta, system("good"))
    fleet.deploy(beta)
    folder = give_small_disk(fleet, beta, "var/lib/waggle-agent", 8)
    script = "head -c 1000000000 /dev/zero > /var/lib/waggle-agent/filled; exit 1"
    module = f'{{ system.activationScripts.fill = "{script}"; }}'
    fleet.configure(beta, system("filling", module, confirm_timeout=5))
    run = fleet.start_waggle("apply", on=beta)
    filled = folder / "filled"
    wait_until("the disk is full", filled.exists, 60)
    what = "beta runs the old system, although the state cannot be written"
    wait_until(what, lambda: beta.word() == "good" and filled.exists(), 60)
    with subtest("the state file still says activating"):
        assert fleet.deployment_state(beta) == "activating"
    filled.unlink()
    # The room may come back before the process that rolls back ends, or only for the one that takes over from it.
    reason = "switch-to-configuration test: exit code 2|No space left on device|cut off while it was activating"
    check_rolled_back(subtest, fleet, beta, run, reason)
    with subtest("the output says that the state could not be written"):
        assert run.says("could not save the state .*No space left on device.*; rolling back anyway")
    fleet.configure(beta, system("better"))
    with subtest("the next deployment succeeds"):
        assert fleet.apply(on=beta).exit_code == Exit.OK
    with subtest("beta runs the new system"):
        assert beta.word() == "better"


def test_a_boot_without_room_for_another_kernel(fleet, beta, subtest):
    beta.succeed("mount -t tmpfs -o size=8m boot /boot")
    beta.succeed(f"mkdir /boot/loader && echo {beta.profile()} > /boot/loader/default")
    before = beta.system()
    fleet.configure(beta, with_kernel("large", "6.9.1", 9))
    received = beta.bytes_received()
    run = fleet.apply(on=beta)
    with subtest("the exit code says failed before activation"):
        assert run.exit_code == Exit.FAILED
        assert run.nodes["beta"]["code"] == "no-boot-space"
    with subtest("the error says how much is free in /boot"):
        assert re.search("/boot[a-z/]* has [0-9]+ MiB free", run.nodes["beta"]["message"])
    with subtest("nothing is sent"):
        assert beta.bytes_received() - received <= 1_000_000
        assert run.nodes["beta"]["bytesSent"] == 0
    with subtest("beta still runs the previous system"):
        assert beta.system() == before
    fleet.configure(beta, with_kernel("small", "6.9.2", 3))
    with subtest("a system whose kernel fits is kept"):
        assert fleet.apply(on=beta).exit_code == Exit.OK
        assert beta.word() == "small"
    with subtest("the kernel is in /boot"):
        beta.succeed("ls /boot/kernels/*linux-6.9.2*")


def test_a_boot_that_is_full_at_the_commit(fleet, beta, subtest):
    before = beta.system()
    beta.fail("head -c 100000000 /dev/zero > /boot/filled")
    fleet.configure(beta, with_kernel("menu", "6.9.2", 3))
    run = fleet.apply(on=beta)
    with subtest("the exit code says rolled back"):
        assert run.exit_code == Exit.ROLLED_BACK
        assert run.outcome["beta"] == "rolled-back"
        assert run.nodes["beta"]["code"] == "boot-loader-failed"
    with subtest("the error names switch-to-configuration boot"):
        assert run.nodes["beta"]["message"].startswith("switch-to-configuration boot: exit code 1; ")
    with subtest("the error says what to do about the boot menu"):
        assert "when the cause is fixed, run " in run.nodes["beta"]["message"]
    with subtest("beta runs the old system"):
        assert beta.system() == before
    with subtest("beta's profile is the old system"):
        assert beta.profile() == before
    wait_until("no unit of the deployment is left on beta", lambda: fleet.no_unit_is_left(beta), 30)
    beta.succeed("rm /boot/filled")
    with subtest("the deployment succeeds once there is room"):
        assert fleet.apply(on=beta).exit_code == Exit.OK
    with subtest("beta runs the new system"):
        assert beta.word() == "menu"

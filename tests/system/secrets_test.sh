#!/usr/bin/env bash
# Secrets on booted nodes: deployed, changed, removed, rolled back; after reboots and power cuts; sealed bundles that are not
# what they should be; and a search of everything for their bytes.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

secrets=$run/secrets
state=/var/lib/waggle-agent/secrets
mkdir "$secrets"
new_secret() { echo "secret-$1-$(cat /proc/sys/kernel/random/uuid)" >"$secrets/$1"; }
for name in one two three disk late far text; do new_secret "$name"; done
openssl passwd -6 "$(cat /proc/sys/kernel/random/uuid)" | tr -d '\n' >"$secrets/password"

# What the hive says of a node: its secrets, and units that use them. KEYS and MORE are Nix. On beta a unit makes the users.
# /late comes when somebody asks for it. /far comes over the network: its mount is made as on NixOS, by systemd from fstab, and
# its server does not answer as long as there is a file /var/lib/far-is-away.
describe() { # NODE [KEYS] [MORE]
    change "$1" <<NIX
{ lib, ... }:
let
  uses = key: more: {
    wantedBy = [ "multi-user.target" ];
    after = [ "\${key}-key.service" ];
    requires = [ "\${key}-key.service" ];
    script = "test -r /run/keys/\${key} || exit 1; echo it is there; exec sleep infinity";
    serviceConfig = more;
  };
in {
  imports = [ ( ${3:-{ \}} ) ];
  users.mutableUsers = false;
  users.groups.web = { };
  users.users.web = { isSystemUser = true; group = "web"; };
  users.users.admin = { isSystemUser = true; hashedPasswordFile = "/run/keys/password"; };
  services.userborn.enable = $([[ $1 != beta ]] && echo false || echo true);
  systemd.services.uses-one = uses "one" { };
  systemd.services.uses-two = uses "two" { User = "web"; SupplementaryGroups = "keys"; };
  # Waits for nobody: in a switch, too, secrets belong to their users before units start.
  systemd.services.reads-two = {
    wantedBy = [ "multi-user.target" ];
    before = [ "two-key.service" ];
    script = "cat /run/keys/two >/dev/null";
    serviceConfig = { User = "web"; SupplementaryGroups = "keys"; Type = "oneshot"; RemainAfterExit = true; };
  };
  systemd.services.reads-disk = {
    wantedBy = [ "multi-user.target" ];
    after = [ "disk-key.service" ];
    requires = [ "disk-key.service" ];
    script = "echo it is there; exec sleep infinity";
    serviceConfig.ExecReload = "/bin/sh -c 'echo it is read again'";
  };
  systemd.services.uses-far = {
    wantedBy = [ "multi-user.target" ];
    wants = [ "remote-fs.target" ];
    after = [ "far-key.service" ];
    requires = [ "far-key.service" ];
    script = "test -r /far/keys/far; exec sleep infinity";
  };
  systemd.services.far-server = {
    unitConfig.DefaultDependencies = false;
    after = [ "network.target" ];
    serviceConfig.Type = "oneshot";
    script = "while [ -e /var/lib/far-is-away ]; do sleep 0.1; done";
  };
  environment.etc.fstab.text = "far /far tmpfs _netdev,mode=755,x-systemd.requires=far-server.service 0 0\n";
  fileSystems."/far" = { device = "far"; fsType = "tmpfs"; options = [ "_netdev" ]; };
  fileSystems."/late" = { device = "tmpfs"; fsType = "tmpfs"; };
  systemd.mounts = [ { what = "tmpfs"; where = "/late"; type = "tmpfs"; mountConfig.Options = "mode=755"; } ];
  deployment.keys = {
    one = { keyFile = "$secrets/one"; restartUnits = [ "uses-one.service" ]; };
    two = { keyCommand = [ "cat" "$secrets/two" ]; user = "web"; group = "web"; permissions = "0440"; restartUnits = [ "uses-two.service" ]; };
    text = { text = "$(cat "$secrets/text")"; uploadAt = "post-activation"; };
    disk = { keyFile = "$secrets/disk"; destDir = "/var/lib/kept/keys"; reloadUnits = [ "reads-disk.service" ]; };
    far = { keyFile = "$secrets/far"; destDir = "/far/keys"; };
    late = { keyFile = "$secrets/late"; destDir = "/late/keys"; };
    password = { keyFile = "$secrets/password"; neededForUsers = true; };
    ${2:-}
  };
}
NIX
}
three="three = { keyFile = \"$secrets/three\"; };"
# The trigger's output is kept for the search at the end.
deploy() { waggle "$@"; cat "$out" >>"$run/said"; }
holds() { node_run "$1" cat "$3" 2>/dev/null | cmp -s - "$secrets/$2"; } # NODE SECRET FILE
is() { node_run "$1" stat -c '%U:%G %a' "$2"; }
starts() { node_run "$1" journalctl -q -b -u "$2" -o cat | grep -c '^it is there$' || true; }
reloads() { node_run "$1" journalctl -q -b -u "$2" -o cat | grep -c '^it is read again$' || true; }
inode() { node_run "$1" stat -c %i "$2"; }
is_active() { node_run "$1" systemctl is-active -q "$2"; }
all_in_place() {
    local name
    for name in one two; do holds "$1" "$name" "/run/keys/$name" || { echo "      $name is not"; return 1; }; done
    [[ $(node_run "$1" cat /run/keys/text) == "$(cat "$secrets/text")" ]] || { echo "      text is not"; return 1; }
    holds "$1" disk /var/lib/kept/keys/disk || { echo "      disk is not"; return 1; }
    [[ $(is "$1" /run/keys/two) == "web:web 440" && $(is "$1" /run/keys/one) == "root:root 600" ]] || { echo "      owners or modes are not"; return 1; }
}
password_works() { [[ $(node_run "$1" getent shadow admin | cut -d: -f2) == "$(cat "$secrets/password")" ]]; }
starts_are() { [[ $(starts "$1" "$2") == "$3" ]]; }
reloads_are() { [[ $(reloads "$1" "$2") == "$3" ]]; }
agent_program() { node_run "$1" systemctl show -P ExecStart waggle-agent | sed -nE 's/.*path=([^ ]*) .*/\1/p'; }
agent_says() { node_run "$1" "$(agent_program "$1")" "${@:2}"; }
bundle_of() { # NODE: the file of the bundle that is in force
    node_run "$1" cat /var/lib/waggle-agent/state.json |
        jq -r '(if .deployment.state == "committed" then .deployment.bundle else null end) // .secrets | .id' | sed "s|.*|$state/&.age|"
}

fleet_start alpha beta

section "the first deployment"
describe alpha "$three"
describe beta
deploy apply
check "waggle apply succeeds" equal "$status" 0
for name in alpha beta; do check "$name: all are in place, with owner and mode" all_in_place "$name"; done
for name in alpha beta; do
    for unit in uses-two reads-two; do check "$name: $unit, of a user that this activation made, reads its own" is_active "$name" $unit; done
done
check "each was started once" equal "$(starts alpha uses-one) $(starts alpha uses-two)" "1 1"
check "users that need one have it" password_works alpha
check "the folder is as NixOS makes it" equal "$(is alpha /run/keys)" "root:keys 750"
check "one for a file system that the activation mounts is there" holds alpha far /far/keys/far
check "and so is what needs it" is_active alpha uses-far
check "one for a file system that is not there was not written" no node_run alpha test -e /late/keys
check "in the state directory it is an age file" node_run alpha grep -aq '^age-encryption.org/v1' "$(bundle_of alpha)"
deploy keys --on alpha
check "waggle keys says that not all are in place" equal "$status" 4
check "it knows what waits" says 'late .*waits'
check "it names owner and mode" says 'two .*web:web.*0?440'
first_bundle=$(bundle_of alpha)
node_run alpha cp "$first_bundle" /root/older.age

section "one of three changes: only its units restart, once"
new_secret two
untouched=$(inode alpha /run/keys/one)
deploy apply
check "it succeeds" equal "$status" 0
check "alpha: the table says ok" equal "$(outcome alpha)" ok
check "all are in place" all_in_place alpha
check "its unit was restarted" wait_until 20 "uses-two restarted" starts_are alpha uses-two 2
check "the other was not" equal "$(starts alpha uses-one)" 1
check "nor was its file touched" equal "$(inode alpha /run/keys/one)" "$untouched"
deploy apply
check "again: nothing to do" equal "$(outcome alpha) $(outcome beta)" "unchanged unchanged"
check "and nothing restarted" equal "$(starts alpha uses-one) $(starts alpha uses-two) $(starts beta uses-two)" "1 2 2"

section "upload-keys: secrets alone"
new_secret one
new_secret disk
new_secret text
describe alpha "$three" '{ environment.etc.word.text = throw "the system was evaluated"; }'
describe beta
before=$(node_system alpha)
deploy upload-keys
check "it succeeds" equal "$status" 0
for name in alpha beta; do check "$name: all are in place" all_in_place "$name"; done
check "the system is as before" equal "$(node_system alpha)" "$before"
check "its unit was restarted" wait_until 20 "uses-one restarted" starts_are alpha uses-one 2
check "the other's was reloaded" wait_until 20 "reads-disk reloaded" reloads_are alpha reads-disk 1
check "and not restarted" equal "$(starts alpha reads-disk)" 1
deploy upload-keys
check "again: nothing to do" equal "$(outcome alpha) $(outcome beta)" "unchanged unchanged"
check "and nothing restarted or reloaded" equal "$(starts alpha uses-one) $(reloads alpha reads-disk)" "2 1"

section "what the operator's machine does not have is not deployed"
before=$(bundle_of alpha)
new_secret one
describe alpha 'vault = { keyCommand = [ "sh" "-c" "echo part-of-it; echo the vault is closed >&2; exit 3" ]; };'
deploy apply --on alpha
check "a command that fails: exit code 10" equal "$status" 10
check "it is named, with what it said" says 'deployment\.keys\.vault: keyCommand .* ended with exit code 3'
check "on standard error" says 'the vault is closed'
check "and not what it began to tell" no says '^ *part-of-it'
describe alpha "gone = { keyFile = \"$secrets/gone\"; };"
deploy upload-keys --on alpha
check "a file that is not there: exit code 10" equal "$status" 10
check "it is named" says "deployment\.keys\.gone: keyFile $secrets/gone: No such file"
describe alpha 'typo = { text = "x"; user = "wbe"; };'
for command in apply upload-keys; do
    deploy $command --on alpha
    check "$command, a user that the hive does not have: exit code 2" equal "$status" 2
    check "it is named" says 'deployment\.keys\.typo: user is "wbe", and there is no users\.users\.wbe'
done
describe alpha "$three"
deploy apply --no-keys --on alpha
check "--no-keys leaves those that are there" equal "$(bundle_of alpha)" "$before"
deploy apply
for name in alpha beta; do check "$name: without it they come" all_in_place "$name"; done

section "at the console: back to the secrets of before"
cp "$secrets/one" "$run/one.kept"
new_secret one
deploy upload-keys --on alpha
check "others are deployed" all_in_place alpha
before=$(starts alpha uses-one)
check "waggle-agent rollback succeeds" agent_says alpha rollback
cp "$run/one.kept" "$secrets/one"
check "those of before are in place" all_in_place alpha
check "their unit is restarted" wait_until 20 "uses-one restarted" starts_are alpha uses-one $((before + 1))
deploy history --on alpha
check "the history tells it" says 'rolled back at the node.s console'
check "there is one way back" no agent_says alpha rollback 2>"$run/refusal"
check "as it says" grep -q 'nothing to roll back' "$run/refusal"
before=$(node_system alpha)
new_secret one
describe alpha "$three" '{ environment.etc.word.text = "another system"; }'
deploy apply --on alpha
check "a system with others is deployed" all_in_place alpha
check "waggle-agent rollback succeeds" agent_says alpha rollback
cp "$run/one.kept" "$secrets/one"
check "the system of before runs" equal "$(node_system alpha)" "$before"
check "with its secrets" all_in_place alpha
fleet_wait alpha
describe alpha "$three"
deploy upload-keys --on alpha
check "what comes next finds them so" equal "$(outcome alpha)" unchanged

section "removal"
describe alpha
deploy apply --on alpha
check "it succeeds" equal "$status" 0
check "the file is gone" no node_run alpha test -e /run/keys/three
check "the others are in place" all_in_place alpha

section "a deployment that goes back takes its secrets with it"
cp "$secrets/one" "$run/one.kept"
new_secret one
describe alpha "" '{ systemd.services.broken = { wantedBy = [ "multi-user.target" ]; serviceConfig.Type = "oneshot"; script = "exit 3"; }; }'
deploy apply --on alpha
check "it is rolled back" equal "$status" 6
cp "$run/one.kept" "$secrets/one"
check "with the secrets of before" all_in_place alpha
describe alpha

section "a user that the node does not have: an error that names it, and nothing is written"
before=$(bundle_of alpha)
new_secret one
node_run alpha systemctl stop uses-two
node_run alpha userdel web
deploy upload-keys --on alpha
check "the exit code says failed before activation" equal "$status" 7
check "the user is named" says 'no user web'
cp "$run/one.kept" "$secrets/one"
check "nothing was written" holds alpha one /run/keys/one
check "the bundle of before is in force" equal "$(bundle_of alpha)" "$before"
node_run alpha "$(node_system alpha)/activate" >"$run/activate" 2>&1
check "an activation that makes it hands it what it waits for" all_in_place alpha
node_run alpha systemctl start uses-two
deploy apply --on alpha
check "the deployment before is what it was" equal "$(outcome alpha)" unchanged

section "folders that another user could change"
node_run alpha su -s /bin/sh web -c 'mkdir /tmp/app-keys'
describe alpha "app = { keyFile = \"$secrets/one\"; destDir = \"/tmp/app-keys\"; };"
deploy apply --on alpha
check "the exit code says failed before activation" equal "$status" 7
check "the folder and its owner are named" says '/tmp/app-keys belongs to web, who could replace the secret'
check "nothing was written into it" no node_run alpha test -e /tmp/app-keys/app
node_run alpha rm -r /tmp/app-keys

section "folders in a home, of a user that is there and of one that this activation makes"
describe alpha "ssh = { keyFile = \"$secrets/one\"; destDir = \"/home/web/.ssh\"; user = \"web\"; group = \"web\"; };
    fresh = { keyFile = \"$secrets/one\"; destDir = \"/home/fresh/deeper/keys\"; user = \"fresh\"; group = \"web\"; };" \
    '{ users.users.fresh = { isSystemUser = true; group = "fresh"; }; users.groups.fresh = { }; }'
deploy apply --on alpha
check "it succeeds" equal "$status" 0
for folder in /home/web /home/web/.ssh; do check "$folder is its owner's" equal "$(is alpha $folder)" "web:web 700"; done
for folder in /home/fresh /home/fresh/deeper /home/fresh/deeper/keys; do check "$folder is its owner's" equal "$(is alpha $folder)" "fresh:fresh 700"; done
check "who reads the secret" node_run alpha su -s /bin/sh web -c 'cat /home/web/.ssh/ssh >/dev/null'
check "as the other does" node_run alpha su -s /bin/sh fresh -c 'cat /home/fresh/deeper/keys/fresh >/dev/null'
describe alpha
deploy apply --on alpha
check "they are removed from there as from anywhere" no node_run alpha test -e /home/web/.ssh/ssh

section "a command that fails within a pipe replaces nothing"
describe alpha "" '{ deployment.keys.two.keyCommand = lib.mkForce [ "sh" "-c" "false | tr -d x" ]; }'
deploy apply --on alpha
check "the exit code says that a secret could not be read" equal "$status" 10
check "the secret and the reason are named" says 'deployment.keys.two: the output of keyCommand .* is empty'
check "the node has what it had" all_in_place alpha
describe alpha

section "a reboot without network; a folder on a disk that was deleted, an owner that was changed"
node_run alpha rm -r /var/lib/kept
node_run beta chown web /var/lib/kept/keys/disk
node_run beta chmod 644 /var/lib/kept/keys/disk
node_run alpha touch /var/lib/far-is-away
for name in alpha beta; do node_cut_network "$name"; done
boot=$(node_boot_id alpha)
node_run alpha systemctl --no-block reboot || true
node_reboot beta
has_begun() { local id; id=$(node_boot_id alpha 2>/dev/null) && [[ $id != "$boot" ]] && is_active alpha uses-one; }
wait_until 60 "alpha has rebooted, and waits for its network mount" has_begun
for name in alpha beta; do
    check "$name: all are in place" all_in_place "$name"
    check "$name: the user can log in" password_works "$name"
    for unit in uses-one uses-two reads-two reads-disk waggle-secrets; do check "$name: $unit is active" is_active "$name" "$unit"; done
    check "$name: the one on the disk is right again" equal "$(is "$name" /var/lib/kept/keys/disk)" "root:root 600"
done
order() { node_run alpha systemctl show -P "$2" "$1"; }
check "they were there before sysinit.target" at_most "$(order waggle-secrets ActiveEnterTimestampMonotonic)" \
    "$(order sysinit.target ActiveEnterTimestampMonotonic)"
check "alpha: nothing where the server of a file system is away" no node_run alpha test -e /far/keys
for unit in far-key uses-far; do check "$unit waits for it" no is_active alpha "$unit"; done
node_run alpha rm /var/lib/far-is-away
wait_until 30 "alpha is up" node_is_up alpha
check "when it is mounted, its secret comes" holds alpha far /far/keys/far
for unit in waggle-secrets-far far-key uses-far; do check "$unit is active" is_active alpha "$unit"; done
no_cycle() { [[ -z $(node_journal "$1" -b -g 'ordering cycle') ]]; }
for name in alpha beta; do check "$name: systemd found no ordering cycle" no_cycle "$name"; done
check "still nothing where nobody asks for the file system" no node_run alpha test -e /late/keys
node_run alpha systemctl start late.mount
check "when it comes, its secret does" wait_until 20 "it is there" holds alpha late /late/keys/late
for name in alpha beta; do node_heal_network "$name"; done
fleet_wait alpha beta

section "an older generation keeps the newest secrets"
new_secret one
deploy upload-keys --on alpha
check "the newest are deployed" equal "$status" 0
node_run alpha sh -c 'readlink -f /nix/var/nix/profiles/system-1-link > /boot/loader/oneshot'
node_reboot alpha
check "alpha boots its first generation" equal "$(node_system alpha)" "$(node_run alpha readlink -f /nix/var/nix/profiles/system-1-link)"
check "with the newest secrets" all_in_place alpha
node_reboot alpha
check "and the newest with them, too" all_in_place alpha
fleet_wait alpha

section "apply boot: with the boot of its system, and back with that"
cp "$secrets/one" "$run/one.kept"
new_secret one
cp "$secrets/one" "$run/one.next"
describe alpha "" '{ environment.etc.word.text = "booted"; }'
deploy apply boot --on alpha
check "it succeeds" equal "$status" 0
cp "$run/one.kept" "$secrets/one"
check "before the boot nothing changes" all_in_place alpha
node_reboot alpha
cp "$run/one.next" "$secrets/one"
check "with it they are new" all_in_place alpha
is_kept() { [[ $(node_profile "$1") == "$(node_system "$1")" ]] && state_is "$1" committed; }
state_is() { node_run "$1" grep -q "\"state\": \"$2\"" /var/lib/waggle-agent/state.json; }
wait_until 30 "alpha keeps the system" is_kept alpha
node_reboot alpha
check "and stay" all_in_place alpha
fleet_wait alpha
cp "$secrets/one" "$run/one.kept"
new_secret one
describe alpha "" '{ environment.etc.word.text = "ill"; deployment.healthChecks.cmd = [ { cmd = [ "/bin/false" ]; period = 1; deadline = 1; } ]; }'
deploy apply boot --on alpha
node_run alpha systemctl --no-block reboot || true
wait_until 120 "alpha has gone back" state_is alpha rolled-back
cp "$run/one.kept" "$secrets/one"
wait_until 60 "alpha is up" node_is_up alpha
check "with a system that goes back those of before come again" all_in_place alpha
fleet_wait alpha
describe alpha
deploy apply --on alpha
check "the next one goes through" equal "$status" 0

section "a sealed bundle that was changed, of another node, or an older one"
good=$(bundle_of alpha)
node_run alpha cp "$good" /root/good.age
refused() { # WHAT
    check "$1: refused" no agent_says alpha install-secrets 2>"$run/refusal"
    check "$1: says which" grep -q 'deployment' "$run/refusal"
    check "$1: what was there stays" all_in_place alpha
    deploy keys --on alpha
    check "$1: reported to the operator" says 'changed or replaced'
}
node_run alpha sh -c "printf x | dd of=$good bs=1 seek=400 conv=notrunc status=none"
refused "a changed one"
node_run alpha sh -c "cat > $good" <"$run/nodes/beta/root$(bundle_of beta)"
refused "that of another node"
node_run alpha cp /root/older.age "$good"
refused "an older one"
boot=$(node_boot_id alpha)
node_run alpha systemctl --no-block reboot || true
rebooted() { local id; id=$(node_boot_id alpha 2>/dev/null) && [[ $id != "$boot" ]] && agent_listens alpha; }
wait_until 60 "alpha has rebooted, with units that wait" rebooted
check "after a reboot, too, what is on the disk stays" holds alpha disk /var/lib/kept/keys/disk
says_why() { node_run alpha sh -c 'journalctl -q -b -u waggle-secrets | grep -q "changed or replaced"'; }
check "the unit says why" wait_until 20 "the journal has it" says_why # which is flushed to the disk about now
check "what needs the others waits" no is_active alpha uses-one
node_run alpha systemctl --no-block start late-key
deploy upload-keys --on alpha
check "upload-keys mends it" equal "$status" 0
check "all are in place" all_in_place alpha
check "the unit is well again" wait_until 20 "waggle-secrets is active" is_active alpha waggle-secrets
check "and what waited starts" wait_until 30 "uses-one starts" is_active alpha uses-one
for unit in uses-two reads-disk; do check "and so does $unit" wait_until 30 "$unit starts" is_active alpha $unit; done
check "what waits for a file system goes on waiting" equal "$(node_run alpha systemctl show -P ActiveState late-key)" activating

section "a power cut in mid-write"
# The fourth new file that the deployment writes is left half written, until the power is cut.
cat >"$run/half.c" <<'C'
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
ssize_t write(int fd, const void *bytes, size_t size) {
    static int count;
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, name, sizeof name - 1);
    name[length > 0 ? length : 0] = 0;
    if (strstr(name, ".waggle-new") && ++count == 4) {
        syscall(SYS_write, fd, bytes, size / 2);
        for (;;)
            pause();
    }
    return syscall(SYS_write, fd, bytes, size);
}
C
cc -shared -fPIC -o "$run/nodes/alpha/root/root/half.so" "$run/half.c"
big_names="1 2 3 4 5 6 7"
new_big() { for index in $big_names; do head -c 750000 /dev/urandom | base64 -w0 >"$secrets/big$index"; done; }
big_keys() { for index in $big_names; do echo "big$index = { keyFile = \"$secrets/big$index\"; destDir = \"/var/lib/kept/big\"; };"; done; }
big_folder=$run/nodes/alpha/root/var/lib/kept/big
big_are() { for index in $big_names; do cmp -s "$1/big$index" "$big_folder/big$index" || return 1; done; }
new_big
describe alpha "$(big_keys)"
deploy apply --on alpha
check "seven large ones are deployed" equal "$status" 0
check "they are there" big_are "$secrets"
mkdir "$run/before"
cp "$secrets"/big* "$run/before"
new_big
# ASAN_OPTIONS: where the agent was built with sanitizers, theirs would have to be the first library.
# shellcheck disable=SC2016  # of the shell there
node_run alpha sh -c 'd=/etc/systemd/system/waggle-activation.service.d; mkdir $d; printf "[Service]\nEnvironment=LD_PRELOAD=/root/half.so ASAN_OPTIONS=verify_asan_link_order=0\n" > $d/half.conf; systemctl daemon-reload'
waggle_in_background upload-keys --on alpha
half_written() { [[ $(stat -c '%s %u:%g %a' "$big_folder/.big4.waggle-new" 2>/dev/null) == "500000 0:0 600" ]]; }
wait_until 60 "the fourth is half written" half_written
node_kill alpha
check "it is when the power is cut" half_written
node_boot alpha
fleet_wait alpha
waggle_wait
cat "$out" >>"$run/said"
check "the trigger says rolled back" equal "$status" 6
check "each file is what it was, whole" big_are "$run/before"
check "what was half written is gone" no compgen -G "$big_folder/.big*"
deploy upload-keys --on alpha
check "the next one goes through" equal "$status" 0
check "and all are new" big_are "$secrets"
describe alpha
deploy apply --on alpha
check "when they are removed" equal "$status" 0
check "their files are" no compgen -G "$big_folder/*"

section "the node's host key is replaced: bundles for the old one are still opened"
node_run alpha ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/new_key
echo "$(node_address alpha) $(node_run alpha cut -d' ' -f1-2 /etc/ssh/new_key.pub)" >>"$run/known_hosts"
describe alpha "" '{ services.openssh.hostKeys = [ { type = "ed25519"; path = "/etc/ssh/new_key"; } { type = "ed25519"; path = "/etc/ssh/ssh_host_ed25519_key"; } ]; }'
deploy apply --on alpha
check "the deployment that brings the new key succeeds" equal "$status" 0
node_reboot alpha
check "after a reboot the secrets are there" all_in_place alpha
fleet_wait alpha
deploy upload-keys --on alpha
check "and the next ones come sealed for the new one" equal "$status" 0

section "where the bytes of secrets are"
markers() { cat "$secrets"/{one,two,disk,far,late,text} | sed 's/^secret-//'; }
control=control-$(cat /proc/sys/kernel/random/uuid)
new_secret two
markers >"$run/markers"
echo "$control" >>"$run/markers"
# While a deployment runs: every command line and environment, again and again; ours among them, to show that it is seen.
cat >"$run/nodes/alpha/root/usr/lib/waggle-test/sample" <<'SCRIPT'
#!/bin/sh
until [ -e /run/sampled ]; do
    cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ
done 2>/dev/null | tr '\0' '\n' | awk '!seen[$0]++' > /run/samples
SCRIPT
node_run alpha systemd-run -q --unit=control --setenv="CONTROL=$control" sh -c "sleep 600; : $control"
node_run alpha systemd-run -q --unit=sample sh /usr/lib/waggle-test/sample
# It leaves the old host key behind, too.
describe alpha "" '{ environment.etc.word.text = "another system"; services.openssh.hostKeys = [ { type = "ed25519"; path = "/etc/ssh/new_key"; } ]; }'
deploy apply --on alpha
check "a deployment that changes one, and the system, succeeds" equal "$status" 0
node_run alpha touch /run/sampled
wait_until 20 "the samples are written" no is_active alpha sample
search() { # PATTERN-FILE, on the node: which files have one of them
    node_run alpha grep -rlaFf - / --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev <"$1" 2>/dev/null | sort || true
}
node_run alpha sh -c "echo $control > /nix/var/control; echo $control | systemd-cat -t control; journalctl --sync; echo $control > $state/control"
head -n -1 "$run/markers" >"$run/secret-markers"
echo "$control" >"$run/control-marker"
found=$(search "$run/control-marker")
check "the search finds what is in the state directory" grep -qx "$state/control" <<<"$found"
check "what is below /nix" grep -qx /nix/var/control <<<"$found"
check "what is in the journal" grep -q '^/var/log/journal/' <<<"$found"
check "and in command lines and environments" test "$(node_run alpha grep -acF "$control" /run/samples)" -ge 2
expected=$(printf '%s\n' /far/keys/far /late/keys/late /run/keys/one /run/keys/text /run/keys/two /var/lib/kept/keys/disk)
node_run alpha systemctl start late.mount
wait_until 20 "the late one is there" holds alpha late /late/keys/late
check "secrets are in their files and nowhere else" equal "$(search "$run/secret-markers")" "$expected"
# Not -q: journalctl would be ended by SIGPIPE, and the pipe with it.
journal_has() { node_run alpha journalctl -q -o export | grep -aFf "$1" >/dev/null; }
check "the journal, read by journalctl, has the control word" journal_has "$run/control-marker"
check "and no secret" no journal_has "$run/secret-markers"
check "no command line and no environment had one" no node_run alpha grep -aqFf - /run/samples <"$run/secret-markers"
check "the trigger's output has names of secrets" grep -q 'secret two' "$run/said"
check "and no secret" no grep -aqFf "$run/secret-markers" "$run/said"
laptop_store() { find /nix/store /nix/var "$HOME" -type f -cnewer "$run/operator.pub" -print0 2>/dev/null | xargs -0 -r grep -laFf "$1"; }
echo "$control" >"$run/control-file"
nix-store --add "$run/control-file" >/dev/null
check "the search finds what is new in the laptop's store" test -n "$(laptop_store "$run/control-marker")"
check "and no secret there" equal "$(laptop_store "$run/secret-markers")" ""
for unit in waggle-agent waggle-secrets one-key; do
    check "$unit leaves no core dump" equal "$(node_run alpha systemctl show -P LimitCORE "$unit")" 0
done

section "the node's host key is replaced, and the old one is gone"
node_run alpha sh -c 'rm /etc/ssh/new_key*; ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/new_key; systemctl restart waggle-agent'
fleet_wait alpha
deploy upload-keys --on alpha
check "waggle refuses a node that shows an unknown key" equal "$status" 5
check "and sends nothing there" shows "nothing was signed or sent"
check "it says what to do" shows 'waggle upload-keys --on alpha'
echo "$(node_address alpha) $(node_run alpha cut -d' ' -f1-2 /etc/ssh/new_key.pub)" >>"$run/known_hosts"
deploy keys --on alpha
check "where it is known: exit code 4" equal "$status" 4
check "waggle keys says what is the matter, and the one command" says 'sealed for other keys, or damaged; .waggle upload-keys. sends them again'
check "what was there stays" all_in_place alpha
deploy upload-keys --on alpha
check "that command succeeds" equal "$status" 0
deploy keys --on alpha
check "and all is well" equal "$status" 0

#!/usr/bin/env bash
# Secrets on booted nodes: deployed, changed, removed, rolled back; after reboots and power cuts; bundles that were
# modified or replaced; and a search of all files for their bytes.
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

# Describes a node in the hive: its secrets, and units that use them. KEYS and MORE are Nix. On beta, a unit creates
# the users. /late is mounted on request. /far is a network mount: systemd mounts it from fstab, as on NixOS, and its
# server does not answer while the file /var/lib/far-is-away exists.
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
  # Waits for no other unit: also during a switch, secrets belong to their users before units start.
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
for name in alpha beta; do check "$name: all secrets are in place, with owner and mode" all_in_place "$name"; done
for name in alpha beta; do
    for unit in uses-two reads-two; do check "$name: $unit is active, with a user that this activation created" is_active "$name" $unit; done
done
check "each unit was started once" equal "$(starts alpha uses-one) $(starts alpha uses-two)" "1 1"
check "the user has the password from its secret" password_works alpha
check "/run/keys has the owner and mode that NixOS sets" equal "$(is alpha /run/keys)" "root:keys 750"
check "the secret for a file system that the activation mounts is there" holds alpha far /far/keys/far
check "the unit that needs this secret is active" is_active alpha uses-far
check "the secret for a file system that is not mounted is not written" no node_run alpha test -e /late/keys
check "the bundle in the state directory is an age file" node_run alpha grep -aq '^age-encryption.org/v1' "$(bundle_of alpha)"
deploy keys --on alpha
check "the exit code of waggle keys says that not all secrets are in place" equal "$status" 4
check "waggle keys shows which secret waits" says 'late .*waits'
check "waggle keys shows owner and mode" says 'two .*web:web.*0?440'
first_bundle=$(bundle_of alpha)
node_run alpha cp "$first_bundle" /root/older.age

section "one of three secrets changes: only its units restart, once"
new_secret two
untouched=$(inode alpha /run/keys/one)
deploy apply
check "waggle apply succeeds" equal "$status" 0
check "alpha: the table says ok" equal "$(outcome alpha)" ok
check "all secrets are in place" all_in_place alpha
check "the unit of the changed secret was restarted" wait_until 20 "uses-two is restarted" starts_are alpha uses-two 2
check "the other unit was not restarted" equal "$(starts alpha uses-one)" 1
check "the other secret's file was not touched" equal "$(inode alpha /run/keys/one)" "$untouched"
deploy apply
check "a second deployment leaves both nodes unchanged" equal "$(outcome alpha) $(outcome beta)" "unchanged unchanged"
check "the second deployment restarts no unit" equal "$(starts alpha uses-one) $(starts alpha uses-two) $(starts beta uses-two)" "1 2 2"

section "upload-keys: secrets alone"
new_secret one
new_secret disk
new_secret text
describe alpha "$three" '{ environment.etc.word.text = throw "the system was evaluated"; }'
describe beta
before=$(node_system alpha)
deploy upload-keys
check "waggle upload-keys succeeds" equal "$status" 0
for name in alpha beta; do check "$name: all secrets are in place" all_in_place "$name"; done
check "the system is unchanged" equal "$(node_system alpha)" "$before"
check "the unit in restartUnits was restarted" wait_until 20 "uses-one is restarted" starts_are alpha uses-one 2
check "the unit in reloadUnits was reloaded" wait_until 20 "reads-disk is reloaded" reloads_are alpha reads-disk 1
check "the reloaded unit was not restarted" equal "$(starts alpha reads-disk)" 1
deploy upload-keys
check "a second upload leaves both nodes unchanged" equal "$(outcome alpha) $(outcome beta)" "unchanged unchanged"
check "the second upload restarts and reloads no unit" equal "$(starts alpha uses-one) $(reloads alpha reads-disk)" "2 1"

section "secrets that the operator's machine does not have are not deployed"
before=$(bundle_of alpha)
new_secret one
describe alpha 'vault = { keyCommand = [ "sh" "-c" "echo part-of-it; echo the vault is closed >&2; exit 3" ]; };'
deploy apply --on alpha
check "a keyCommand that fails gives exit code 10" equal "$status" 10
check "the error names the secret and the command's exit code" says 'deployment\.keys\.vault: keyCommand .* ended with exit code 3'
check "the error shows the command's standard error" says 'the vault is closed'
check "the output does not show the command's standard output" no says '^ *part-of-it'
describe alpha "gone = { keyFile = \"$secrets/gone\"; };"
deploy upload-keys --on alpha
check "a keyFile that does not exist gives exit code 10" equal "$status" 10
check "the error names the secret and the file" says "deployment\.keys\.gone: keyFile $secrets/gone: No such file"
describe alpha 'typo = { text = "x"; user = "wbe"; };'
for command in apply upload-keys; do
    deploy $command --on alpha
    check "$command with a user that the hive does not have gives exit code 2" equal "$status" 2
    check "the error names the secret and the user" says 'deployment\.keys\.typo: user is "wbe", and there is no users\.users\.wbe'
done
describe alpha "$three"
deploy apply --no-keys --on alpha
check "--no-keys keeps the node's bundle" equal "$(bundle_of alpha)" "$before"
deploy apply
for name in alpha beta; do check "$name: without --no-keys, all secrets are in place" all_in_place "$name"; done

section "at the console: rollback to the previous secrets"
cp "$secrets/one" "$run/one.kept"
new_secret one
deploy upload-keys --on alpha
check "the new secrets are in place" all_in_place alpha
before=$(starts alpha uses-one)
check "waggle-agent rollback succeeds" agent_says alpha rollback
cp "$run/one.kept" "$secrets/one"
check "the previous secrets are in place" all_in_place alpha
check "the unit of the restored secret is restarted" wait_until 20 "uses-one is restarted" starts_are alpha uses-one $((before + 1))
deploy history --on alpha
check "the history records the rollback" says 'rolled back at the node.s console'
check "a second rollback fails" no agent_says alpha rollback 2>"$run/refusal"
check "the error says that there is nothing to roll back" grep -q 'nothing to roll back' "$run/refusal"
before=$(node_system alpha)
new_secret one
describe alpha "$three" '{ environment.etc.word.text = "another system"; }'
deploy apply --on alpha
check "the new system's secrets are in place" all_in_place alpha
check "waggle-agent rollback succeeds" agent_says alpha rollback
cp "$run/one.kept" "$secrets/one"
check "alpha runs the previous system" equal "$(node_system alpha)" "$before"
check "the previous system's secrets are in place" all_in_place alpha
fleet_wait alpha
describe alpha "$three"
deploy upload-keys --on alpha
check "the next upload leaves alpha unchanged" equal "$(outcome alpha)" unchanged

section "removal of a secret"
describe alpha
deploy apply --on alpha
check "waggle apply succeeds" equal "$status" 0
check "the removed secret's file is gone" no node_run alpha test -e /run/keys/three
check "the other secrets are in place" all_in_place alpha

section "a deployment that is rolled back also rolls back its secrets"
cp "$secrets/one" "$run/one.kept"
new_secret one
describe alpha "" '{ systemd.services.broken = { wantedBy = [ "multi-user.target" ]; serviceConfig.Type = "oneshot"; script = "exit 3"; }; }'
deploy apply --on alpha
check "the exit code says rolled back" equal "$status" 6
cp "$run/one.kept" "$secrets/one"
check "the previous secrets are in place" all_in_place alpha
describe alpha

section "a user that the node does not have: the error names it, and nothing is written"
before=$(bundle_of alpha)
new_secret one
node_run alpha systemctl stop uses-two
node_run alpha userdel web
deploy upload-keys --on alpha
check "the exit code says failed before activation" equal "$status" 7
check "the error names the user" says 'no user web'
cp "$run/one.kept" "$secrets/one"
check "the secret's file is unchanged" holds alpha one /run/keys/one
check "the previous bundle is in force" equal "$(bundle_of alpha)" "$before"
node_run alpha "$(node_system alpha)/activate" >"$run/activate" 2>&1
check "all secrets are in place after an activation that creates the user" all_in_place alpha
node_run alpha systemctl start uses-two
deploy apply --on alpha
check "the next deployment leaves alpha unchanged" equal "$(outcome alpha)" unchanged

section "folders that another user could modify"
node_run alpha su -s /bin/sh web -c 'mkdir /tmp/app-keys'
describe alpha "app = { keyFile = \"$secrets/one\"; destDir = \"/tmp/app-keys\"; };"
deploy apply --on alpha
check "the exit code says failed before activation" equal "$status" 7
check "the error names the folder and its owner" says '/tmp/app-keys belongs to web, who could replace the secret'
check "nothing was written into the folder" no node_run alpha test -e /tmp/app-keys/app
node_run alpha rm -r /tmp/app-keys

section "folders in the homes of an existing user and of one that this activation creates"
describe alpha "ssh = { keyFile = \"$secrets/one\"; destDir = \"/home/web/.ssh\"; user = \"web\"; group = \"web\"; };
    fresh = { keyFile = \"$secrets/one\"; destDir = \"/home/fresh/deeper/keys\"; user = \"fresh\"; group = \"web\"; };" \
    '{ users.users.fresh = { isSystemUser = true; group = "fresh"; }; users.groups.fresh = { }; }'
deploy apply --on alpha
check "waggle apply succeeds" equal "$status" 0
for folder in /home/web /home/web/.ssh; do check "$folder belongs to its user" equal "$(is alpha $folder)" "web:web 700"; done
for folder in /home/fresh /home/fresh/deeper /home/fresh/deeper/keys; do check "$folder belongs to its user" equal "$(is alpha $folder)" "fresh:fresh 700"; done
check "the user web can read its secret" node_run alpha su -s /bin/sh web -c 'cat /home/web/.ssh/ssh >/dev/null'
check "the user fresh can read its secret" node_run alpha su -s /bin/sh fresh -c 'cat /home/fresh/deeper/keys/fresh >/dev/null'
describe alpha
deploy apply --on alpha
check "a removed secret's file in a home is gone" no node_run alpha test -e /home/web/.ssh/ssh

section "a keyCommand that fails within a pipe replaces nothing"
describe alpha "" '{ deployment.keys.two.keyCommand = lib.mkForce [ "sh" "-c" "false | tr -d x" ]; }'
deploy apply --on alpha
check "the exit code says that a secret could not be read" equal "$status" 10
check "the error names the secret and the reason" says 'deployment.keys.two: the output of keyCommand .* is empty'
check "the node's secrets are unchanged" all_in_place alpha
describe alpha

section "a reboot without network, after a folder was deleted and an owner changed"
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
    check "$name: all secrets are in place" all_in_place "$name"
    check "$name: the user has the password from its secret" password_works "$name"
    for unit in uses-one uses-two reads-two reads-disk waggle-secrets; do check "$name: $unit is active" is_active "$name" "$unit"; done
    check "$name: the secret on the disk has its owner and mode again" equal "$(is "$name" /var/lib/kept/keys/disk)" "root:root 600"
done
order() { node_run alpha systemctl show -P "$2" "$1"; }
check "waggle-secrets was active before sysinit.target" at_most "$(order waggle-secrets ActiveEnterTimestampMonotonic)" \
    "$(order sysinit.target ActiveEnterTimestampMonotonic)"
check "alpha: no secret is written while the file system's server does not answer" no node_run alpha test -e /far/keys
for unit in far-key uses-far; do check "$unit waits for the file system" no is_active alpha "$unit"; done
node_run alpha rm /var/lib/far-is-away
wait_until 30 "alpha is up" node_is_up alpha
check "the secret on /far is there once /far is mounted" holds alpha far /far/keys/far
for unit in waggle-secrets-far far-key uses-far; do check "$unit is active" is_active alpha "$unit"; done
no_cycle() { [[ -z $(node_journal "$1" -b -g 'ordering cycle') ]]; }
for name in alpha beta; do check "$name: systemd found no ordering cycle" no_cycle "$name"; done
check "no secret is written to /late while /late is not mounted" no node_run alpha test -e /late/keys
node_run alpha systemctl start late.mount
check "the secret on /late is there once /late is mounted" wait_until 20 "the secret on /late is there" holds alpha late /late/keys/late
for name in alpha beta; do node_heal_network "$name"; done
fleet_wait alpha beta

section "an older generation keeps the newest secrets"
new_secret one
deploy upload-keys --on alpha
check "the newest secrets are deployed" equal "$status" 0
node_run alpha sh -c 'readlink -f /nix/var/nix/profiles/system-1-link > /boot/loader/oneshot'
node_reboot alpha
check "alpha boots its first generation" equal "$(node_system alpha)" "$(node_run alpha readlink -f /nix/var/nix/profiles/system-1-link)"
check "the first generation has the newest secrets" all_in_place alpha
node_reboot alpha
check "the newest generation also has the newest secrets" all_in_place alpha
fleet_wait alpha

section "apply boot: the secrets change at the boot of their system, and roll back with it"
cp "$secrets/one" "$run/one.kept"
new_secret one
cp "$secrets/one" "$run/one.next"
describe alpha "" '{ environment.etc.word.text = "booted"; }'
deploy apply boot --on alpha
check "waggle apply boot succeeds" equal "$status" 0
cp "$run/one.kept" "$secrets/one"
check "before the boot, the secrets are unchanged" all_in_place alpha
node_reboot alpha
cp "$run/one.next" "$secrets/one"
check "after the boot, the new secrets are in place" all_in_place alpha
is_kept() { [[ $(node_profile "$1") == "$(node_system "$1")" ]] && state_is "$1" committed; }
state_is() { node_run "$1" grep -q "\"state\": \"$2\"" /var/lib/waggle-agent/state.json; }
wait_until 30 "alpha commits the system" is_kept alpha
node_reboot alpha
check "after another boot, the new secrets are still in place" all_in_place alpha
fleet_wait alpha
cp "$secrets/one" "$run/one.kept"
new_secret one
describe alpha "" '{ environment.etc.word.text = "ill"; deployment.healthChecks.cmd = [ { cmd = [ "/bin/false" ]; period = 1; deadline = 1; } ]; }'
deploy apply boot --on alpha
node_run alpha systemctl --no-block reboot || true
wait_until 120 "alpha has rolled back" state_is alpha rolled-back
cp "$run/one.kept" "$secrets/one"
wait_until 60 "alpha is up" node_is_up alpha
check "after the rollback, the previous secrets are in place" all_in_place alpha
fleet_wait alpha
describe alpha
deploy apply --on alpha
check "the next deployment succeeds" equal "$status" 0

section "a bundle that was modified, of another node, or an older one"
good=$(bundle_of alpha)
node_run alpha cp "$good" /root/good.age
refused() { # WHAT
    check "$1: install-secrets fails" no agent_says alpha install-secrets 2>"$run/refusal"
    check "$1: the error names the deployment" grep -q 'deployment' "$run/refusal"
    check "$1: the secrets in place stay" all_in_place alpha
    deploy keys --on alpha
    check "$1: waggle keys reports it to the operator" says 'changed or replaced'
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
check "after a reboot, the secret on the disk stays" holds alpha disk /var/lib/kept/keys/disk
says_why() { node_run alpha sh -c 'journalctl -q -b -u waggle-secrets | grep -q "changed or replaced"'; }
check "the unit logs the reason" wait_until 20 "the journal has the reason" says_why # which is flushed to the disk about now
check "a unit that needs another secret waits" no is_active alpha uses-one
node_run alpha systemctl --no-block start late-key
deploy upload-keys --on alpha
check "waggle upload-keys succeeds" equal "$status" 0
check "all secrets are in place" all_in_place alpha
check "waggle-secrets is active again" wait_until 20 "waggle-secrets is active" is_active alpha waggle-secrets
check "uses-one, which waited, starts" wait_until 30 "uses-one starts" is_active alpha uses-one
for unit in uses-two reads-disk; do check "$unit, which waited, starts" wait_until 30 "$unit starts" is_active alpha $unit; done
check "a unit that waits for a file system still waits" equal "$(node_run alpha systemctl show -P ActiveState late-key)" activating

section "a power cut in the middle of a write"
# The deployment's fourth new file stays half written until the power is cut.
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
check "seven large secrets are deployed" equal "$status" 0
check "the large secrets are in place" big_are "$secrets"
mkdir "$run/before"
cp "$secrets"/big* "$run/before"
new_big
# ASAN_OPTIONS: an agent that was built with sanitizers otherwise requires that their library is loaded first.
# shellcheck disable=SC2016  # of the shell there
node_run alpha sh -c 'd=/etc/systemd/system/waggle-activation.service.d; mkdir $d; printf "[Service]\nEnvironment=LD_PRELOAD=/root/half.so ASAN_OPTIONS=verify_asan_link_order=0\n" > $d/half.conf; systemctl daemon-reload'
waggle_in_background upload-keys --on alpha
half_written() { [[ $(stat -c '%s %u:%g %a' "$big_folder/.big4.waggle-new" 2>/dev/null) == "500000 0:0 600" ]]; }
wait_until 60 "the fourth secret is half written" half_written
node_kill alpha
check "the fourth secret is still half written after the power cut" half_written
node_boot alpha
fleet_wait alpha
waggle_wait
cat "$out" >>"$run/said"
check "the exit code says rolled back" equal "$status" 6
check "each file has its whole previous content" big_are "$run/before"
check "the half-written file is gone" no compgen -G "$big_folder/.big*"
deploy upload-keys --on alpha
check "the next upload succeeds" equal "$status" 0
check "the new secrets are in place" big_are "$secrets"
describe alpha
deploy apply --on alpha
check "a deployment that removes the large secrets succeeds" equal "$status" 0
check "the files of the large secrets are gone" no compgen -G "$big_folder/*"

section "the node's host key is replaced: bundles for the old key can still be opened"
node_run alpha ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/new_key
echo "$(node_address alpha) $(node_run alpha cut -d' ' -f1-2 /etc/ssh/new_key.pub)" >>"$run/known_hosts"
describe alpha "" '{ services.openssh.hostKeys = [ { type = "ed25519"; path = "/etc/ssh/new_key"; } { type = "ed25519"; path = "/etc/ssh/ssh_host_ed25519_key"; } ]; }'
deploy apply --on alpha
check "the deployment that brings the new key succeeds" equal "$status" 0
node_reboot alpha
check "after a reboot, all secrets are in place" all_in_place alpha
fleet_wait alpha
deploy upload-keys --on alpha
check "the next upload succeeds with the new key" equal "$status" 0

section "where the bytes of secrets are"
markers() { cat "$secrets"/{one,two,disk,far,late,text} | sed 's/^secret-//'; }
control=control-$(cat /proc/sys/kernel/random/uuid)
new_secret two
markers >"$run/markers"
echo "$control" >>"$run/markers"
# Samples every command line and environment while a deployment runs. The control word is in one of each, which shows
# that the samples have it.
cat >"$run/nodes/alpha/root/usr/lib/waggle-test/sample" <<'SCRIPT'
#!/bin/sh
until [ -e /run/sampled ]; do
    cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ
done 2>/dev/null | tr '\0' '\n' | awk '!seen[$0]++' > /run/samples
SCRIPT
node_run alpha systemd-run -q --unit=control --setenv="CONTROL=$control" sh -c "sleep 600; : $control"
node_run alpha systemd-run -q --unit=sample sh /usr/lib/waggle-test/sample
# This system also drops the old host key.
describe alpha "" '{ environment.etc.word.text = "another system"; services.openssh.hostKeys = [ { type = "ed25519"; path = "/etc/ssh/new_key"; } ]; }'
deploy apply --on alpha
check "a deployment that changes a secret and the system succeeds" equal "$status" 0
node_run alpha touch /run/sampled
wait_until 20 "the samples are written" no is_active alpha sample
search() { # PATTERN-FILE: prints the files on the node that contain one of the patterns
    node_run alpha grep -rlaFf - / --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev <"$1" 2>/dev/null | sort || true
}
node_run alpha sh -c "echo $control > /nix/var/control; echo $control | systemd-cat -t control; journalctl --sync; echo $control > $state/control"
head -n -1 "$run/markers" >"$run/secret-markers"
echo "$control" >"$run/control-marker"
found=$(search "$run/control-marker")
check "the search finds the control word in the state directory" grep -qx "$state/control" <<<"$found"
check "the search finds the control word below /nix" grep -qx /nix/var/control <<<"$found"
check "the search finds the control word in the journal" grep -q '^/var/log/journal/' <<<"$found"
check "the samples have the control word in a command line and an environment" test "$(node_run alpha grep -acF "$control" /run/samples)" -ge 2
expected=$(printf '%s\n' /far/keys/far /late/keys/late /run/keys/one /run/keys/text /run/keys/two /var/lib/kept/keys/disk)
node_run alpha systemctl start late.mount
wait_until 20 "the secret on /late is there" holds alpha late /late/keys/late
check "secrets are in their files and nowhere else" equal "$(search "$run/secret-markers")" "$expected"
# Not grep -q: SIGPIPE would end journalctl, and the pipe with it.
journal_has() { node_run alpha journalctl -q -o export | grep -aFf "$1" >/dev/null; }
check "the journal, read by journalctl, has the control word" journal_has "$run/control-marker"
check "the journal, read by journalctl, has no secret" no journal_has "$run/secret-markers"
check "no command line and no environment had a secret" no node_run alpha grep -aqFf - /run/samples <"$run/secret-markers"
check "the trigger's output has names of secrets" grep -q 'secret two' "$run/said"
check "the trigger's output has no secret" no grep -aqFf "$run/secret-markers" "$run/said"
laptop_store() { find /nix/store /nix/var "$HOME" -type f -cnewer "$run/operator.pub" -print0 2>/dev/null | xargs -0 -r grep -laFf "$1"; }
echo "$control" >"$run/control-file"
nix-store --add "$run/control-file" >/dev/null
check "the search finds the control word in the laptop's store" test -n "$(laptop_store "$run/control-marker")"
check "the laptop's store has no secret" equal "$(laptop_store "$run/secret-markers")" ""
for unit in waggle-agent waggle-secrets one-key; do
    check "$unit leaves no core dump" equal "$(node_run alpha systemctl show -P LimitCORE "$unit")" 0
done

section "the node's host key is replaced, and the old one is gone"
node_run alpha sh -c 'rm /etc/ssh/new_key*; ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/new_key; systemctl restart waggle-agent'
fleet_wait alpha
deploy upload-keys --on alpha
check "waggle refuses a node that shows an unknown key" equal "$status" 5
check "the error says that nothing was signed or sent" shows "nothing was signed or sent"
check "the error names the command to run" shows 'waggle upload-keys --on alpha'
echo "$(node_address alpha) $(node_run alpha cut -d' ' -f1-2 /etc/ssh/new_key.pub)" >>"$run/known_hosts"
deploy keys --on alpha
check "once the new key is known, waggle keys gives exit code 4" equal "$status" 4
check "waggle keys gives the reason and the command that fixes it" says 'sealed for other keys, or damaged; .waggle upload-keys. sends them again'
check "the secrets in place stay" all_in_place alpha
deploy upload-keys --on alpha
check "waggle upload-keys succeeds" equal "$status" 0
deploy keys --on alpha
check "waggle keys succeeds" equal "$status" 0

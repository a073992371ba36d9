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
for name in one two three disk late text; do new_secret "$name"; done
openssl passwd -6 "$(cat /proc/sys/kernel/random/uuid)" | tr -d '\n' >"$secrets/password"

# What the hive says of a node: its secrets, and units that use them. KEYS and MORE are Nix.
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
  systemd.services.uses-one = uses "one" { };
  systemd.services.uses-two = uses "two" { User = "web"; SupplementaryGroups = "keys"; };
  fileSystems."/late" = { device = "tmpfs"; fsType = "tmpfs"; };
  systemd.mounts = [ { what = "tmpfs"; where = "/late"; type = "tmpfs"; mountConfig.Options = "mode=755"; } ];
  deployment.keys = {
    one = { keyFile = "$secrets/one"; restartUnits = [ "uses-one.service" ]; };
    two = { keyCommand = [ "cat" "$secrets/two" ]; user = "web"; group = "web"; permissions = "0440"; restartUnits = [ "uses-two.service" ]; };
    text = { text = "$(cat "$secrets/text")"; uploadAt = "post-activation"; };
    disk = { keyFile = "$secrets/disk"; destDir = "/var/lib/kept/keys"; };
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
check "the service of a user that this activation made reads its own" is_active alpha uses-two
check "each was started once" equal "$(starts alpha uses-one) $(starts alpha uses-two)" "1 1"
check "users that need one have it" password_works alpha
check "the folder is as NixOS makes it" equal "$(is alpha /run/keys)" "root:keys 750"
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
new_secret text
describe alpha "$three"
describe beta
before=$(node_system alpha)
deploy upload-keys
check "it succeeds" equal "$status" 0
for name in alpha beta; do check "$name: all are in place" all_in_place "$name"; done
check "the system is as before" equal "$(node_system alpha)" "$before"
check "its unit was restarted" wait_until 20 "uses-one restarted" starts_are alpha uses-one 2

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

section "a reboot without network; a folder on a disk that was deleted, an owner that was changed"
node_run alpha rm -r /var/lib/kept
node_run beta chown web /var/lib/kept/keys/disk
node_run beta chmod 644 /var/lib/kept/keys/disk
for name in alpha beta; do node_cut_network "$name"; done
for name in alpha beta; do node_reboot "$name"; done
for name in alpha beta; do
    check "$name: all are in place" all_in_place "$name"
    check "$name: the user can log in" password_works "$name"
    for unit in uses-one uses-two waggle-secrets; do check "$name: $unit is active" is_active "$name" "$unit"; done
    check "$name: the one on the disk is right again" equal "$(is "$name" /var/lib/kept/keys/disk)" "root:root 600"
done
order() { node_run alpha systemctl show -P "$2" "$1"; }
check "they were there before sysinit.target" at_most "$(order waggle-secrets ActiveEnterTimestampMonotonic)" \
    "$(order sysinit.target ActiveEnterTimestampMonotonic)"
check "still nothing where the file system is missing" no node_run alpha test -e /late/keys
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
check "the unit says why" node_run alpha sh -c 'journalctl -q -b -u waggle-secrets | grep -q "changed or replaced"'
check "what needs the others waits" no is_active alpha uses-one
deploy upload-keys --on alpha
check "upload-keys mends it" equal "$status" 0
check "all are in place" all_in_place alpha
check "the unit is well again" wait_until 20 "waggle-secrets is active" is_active alpha waggle-secrets
check "and what waited starts" wait_until 30 "uses-one starts" is_active alpha uses-one

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
half_written() { local size; size=$(stat -c %s "$big_folder/.big4.waggle-new" 2>/dev/null) && ((size == 500000)); }
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
markers() { cat "$secrets"/{one,two,disk,late,text} | sed 's/^secret-//'; }
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
expected=$(printf '%s\n' /late/keys/late /run/keys/one /run/keys/text /run/keys/two /var/lib/kept/keys/disk)
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

#!/usr/bin/env bash
# Building in another store (--build-store): that of a "builder" with its own /nix, which is reached through a real
# sshd.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=SCRIPTDIR/trigger.sh
source "$here/trigger.sh"
trigger_enter "$@"
# shellcheck source=SCRIPTDIR/builder.sh
source "$here/builder.sh"
builder_make
store=ssh-ng://builder

here() { compgen -G "/nix/store/*-$1" >/dev/null; }
there() { compgen -G "$builder_nix/store/*-$1" >/dev/null; }
not() { ! "$@"; }

section "a valid hive"
hive <<'NIX'
{
  meta.name = "far";
  alpha = { pkgs, ... }: { environment.etc.a.source = pkgs.runCommand "of-alpha" { } "echo a >$out"; };
  beta = { };
}
NIX
waggle build --build-store $store
check "the hive is built" exits 0
built=$(system_of alpha)
check "the builder's store has the system with its switch-to-configuration" test -x "$builder_nix${built#/nix}/bin/switch-to-configuration"
check "the builder's store has the system's dependency" there of-alpha
check "the local store does not have the system" not test -e "$built"
check "the local store does not have the system's dependency" not here of-alpha
check "the local store has the derivation of the dependency" here of-alpha.drv
waggle build --build-store $store
check "what the builder's store has is not built again" test "$(grep -c building <<<"$err")" = 0
waggle build --build-store $store --keep-result
check "a build with --keep-result succeeds" exits 0
check "the system has a GC root on the builder" test "$(readlink "$builder_home/waggle-gcroots/far/node-alpha")" = "$built"
in_builder nix-store --gc >/dev/null 2>&1
check "the system's dependency survives a garbage collection on the builder" there of-alpha
check "there is no local GC root" test ! -e .gcroots

section "failing builds"
hive <<'NIX'
let
  fails = name: code: { pkgs, ... }: {
    environment.etc.x.source = pkgs.runCommand name { } ''echo "compiling ${name}"; exit ${toString code}'';
  };
in { alpha = fails "one" 3; beta = { networking.hostName = "beta-again"; }; gamma = fails "other" 4; delta = { networking.hostName = "delta"; }; }
NIX
waggle build --build-store $store --eval-node-limit 0
check "the exit code reports failed builds" exits 3
check "the nodes that can be built are built, whatever the order" test "$(awk '{ print $1 }' <<<"$out" | paste -sd ' ')" = "beta delta"
check "each failure is reported with its reason and the builder's last lines" fails "exit code 3" "compiling one" "exit code 4" "compiling other"
check "each failure is reported for its own node only" test "$(sed -n '/^gamma: build-failed/,$p' <<<"$err" | grep -c 'exit code 3')" = 0

section "unusable build stores"
for url in https://cache.example.org s3://bucket file:///srv/cache; do
    waggle build --build-store $url
    check "$url is refused as a binary cache" fails "$url" "a binary cache, in which nothing can be built" "ssh-ng://HOST"
done
waggle build --build-store ssh://builder
check "ssh:// is refused" fails "ssh://builder" "nothing is kept from the garbage collector"
for url in builder ssh-ng:// 'ssh-ng://-oProxyCommand=x' ''; do
    waggle build --build-store "$url"
    check "“$url” is refused" fails "--build-store"
    check "the exit code is that of a usage error" exits 2
done
waggle build --build-store ssh-ng://nobody
check "an unreachable builder is reported with the message of ssh" fails "the build store ssh-ng://nobody" "Connection closed"
check "an unreachable builder is reported before any evaluation" test "$(grep -c evaluating <<<"$err")" = 0
check "the exit code of an unreachable builder is 2" exits 2
check "it is reported once" test "$(grep -c 'ssh-ng://nobody' <<<"$err")" = 1
waggle build --build-store ssh-ng://stranger
check "a builder with an unknown host key is an error" fails "Host key verification failed"
waggle build --build-store ssh-ng://bare
check "a builder without Nix is an error" fails "Nix must be installed there"

section "a builder that does not trust this user"
builder_distrusts
trap 'kill "$builder_daemon"' EXIT
hive <<<'{ alpha = { networking.hostName = "distrusted"; }; }'
waggle build --build-store ssh-ng://distrustful
check "the builder accepts derivations and their sources, and builds them" exits 0
check "the builder's store has the system" test -x "$builder_nix$(system_of alpha | sed s,^/nix,,)/bin/switch-to-configuration"
check "the local store does not have the system" not test -e "$(system_of alpha)"
hive <<'NIX'
{
  alpha = { pkgs, ... }:
    let
      made = pkgs.runCommand "made-here" { } "mkdir $out; echo text >$out/file";
      source = builtins.seq (builtins.readFile "${made}/file") (builtins.storePath (builtins.unsafeDiscardStringContext "${made}"));
    in
    { environment.etc.a.source = pkgs.runCommand "of-made" { } "cat ${source}/file >$out"; };
}
NIX
waggle build --build-store ssh-ng://distrustful
check "the builder refuses unsigned paths that were built locally" fails "made-here" "signature" "trusted-users"
waggle build --build-store $store
check "a builder that trusts this user accepts unsigned paths" exits 0

section "a store in another directory of this machine"
hive <<'NIX'
{ alpha = { networking.hostName = "in-a-folder"; }; }
NIX
waggle build --build-store "local?root=$work/other" --keep-result --option sandbox-paths "/bin /usr /lib /lib64"
check "a store in another directory can be used" exits 0
check "that store has the system" test -x "$work/other$(system_of alpha)/bin/switch-to-configuration"
check "the store of this machine does not have the system" test ! -e "$(system_of alpha)"
nix-store --store "local?root=$work/other" --gc >/dev/null 2>&1
check "the system survives a garbage collection of that store" test -x "$work/other$(system_of alpha)/bin/switch-to-configuration"

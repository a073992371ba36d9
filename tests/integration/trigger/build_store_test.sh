#!/usr/bin/env bash
# Building in another store (--build-store), the one of a "builder" that is reached through a real sshd and has a /nix of its own.
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

section "a good hive"
hive <<'NIX'
{
  meta.name = "far";
  alpha = { pkgs, ... }: { environment.etc.a.source = pkgs.runCommand "of-alpha" { } "echo a >$out"; };
  beta = { };
}
NIX
waggle build --build-store $store
check "is built" exits 0
built=$(system_of alpha)
check "the system is there, and can be switched to" test -x "$builder_nix${built#/nix}/bin/switch-to-configuration"
check "its parts, too" there of-alpha
check "and not here" not test -e "$built"
check "nor are its parts" not here of-alpha
check "but the derivations are" here of-alpha.drv
waggle build --build-store $store
check "what is there is not built again" test "$(grep -c building <<<"$err")" = 0
waggle build --build-store $store --keep-result
check "with --keep-result" exits 0
check "the system has a GC root there" test "$(readlink "$builder_home/waggle-gcroots/far/node-alpha")" = "$built"
in_builder nix-store --gc >/dev/null 2>&1
check "which holds it" there of-alpha
check "and there is none here" test ! -e .gcroots

section "failing builds"
hive <<'NIX'
let
  fails = name: code: { pkgs, ... }: {
    environment.etc.x.source = pkgs.runCommand name { } ''echo "compiling ${name}"; exit ${toString code}'';
  };
in { alpha = fails "one" 3; beta = { networking.hostName = "beta-again"; }; gamma = fails "other" 4; delta = { networking.hostName = "delta"; }; }
NIX
waggle build --build-store $store --eval-node-limit 0
check "the exit code says that builds failed" exits 3
check "those that can be built are, whatever the order" test "$(awk '{ print $1 }' <<<"$out" | paste -sd ' ')" = "beta delta"
check "the failures say why, with the builders' last lines" fails "exit code 3" "compiling one" "exit code 4" "compiling other"
check "and are put down to their nodes" test "$(sed -n '/^gamma: build-failed/,$p' <<<"$err" | grep -c 'exit code 3')" = 0

section "what cannot be used"
for url in https://cache.example.org s3://bucket file:///srv/cache; do
    waggle build --build-store $url
    check "$url: a cache" fails "$url" "a binary cache, in which nothing can be built" "ssh-ng://HOST"
done
waggle build --build-store ssh://builder
check "ssh://" fails "ssh://builder" "nothing is kept from the garbage collector"
for url in builder ssh-ng:// 'ssh-ng://-oProxyCommand=x' ''; do
    waggle build --build-store "$url"
    check "“$url”" fails "--build-store"
    check "is a usage error" exits 2
done
waggle build --build-store ssh-ng://nobody
check "a builder that is not reached, in ssh's words" fails "the build store ssh-ng://nobody" "Connection closed"
check "before anything is evaluated" test "$(grep -c evaluating <<<"$err")" = 0
check "which is told once" exits 2
waggle build --build-store ssh-ng://stranger
check "one whose host key is not known" fails "Host key verification failed"
waggle build --build-store ssh-ng://bare
check "one without Nix" fails "Nix must be installed there"

section "one that does not trust us"
builder_distrusts
trap 'kill "$builder_daemon"' EXIT
hive <<<'{ alpha = { networking.hostName = "distrusted"; }; }'
waggle build --build-store ssh-ng://distrustful
check "takes derivations and their sources, and builds" exits 0
check "there" test -x "$builder_nix$(system_of alpha | sed s,^/nix,,)/bin/switch-to-configuration"
check "and not here" not test -e "$(system_of alpha)"
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
check "but nothing unsigned that was built here" fails "made-here" "signature" "trusted-users"
waggle build --build-store $store
check "as one that trusts us does" exits 0

section "a store in another folder of this machine"
hive <<'NIX'
{ alpha = { networking.hostName = "in-a-folder"; }; }
NIX
waggle build --build-store "local?root=$work/other" --keep-result --option sandbox-paths "/bin /usr /lib /lib64"
check "is a store as well" exits 0
check "with the system" test -x "$work/other$(system_of alpha)/bin/switch-to-configuration"
check "and not this machine's" test ! -e "$(system_of alpha)"
nix-store --store "local?root=$work/other" --gc >/dev/null 2>&1
check "which the GC root beside the hive keeps" test -x "$work/other$(system_of alpha)/bin/switch-to-configuration"

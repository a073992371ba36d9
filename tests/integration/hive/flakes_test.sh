#!/usr/bin/env bash
# Hives in flakes, evaluated by waggle: which output is used, what it is locked to and what the evaluation may read;
# also how often and how much of any hive is evaluated.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"
build_dir=${WAGGLE_BUILD_DIR:-$source_dir/build/dev}
export WAGGLE_NIXOS_MODULE=$modules GIT_CONFIG_NOSYSTEM=1
# The trigger itself enables the features of Nix that it needs, and flakes have no <nixpkgs>.
sed -i '/experimental-features/d' "$work/conf/nix.conf"
unset NIX_PATH
git config --global user.name bee
git config --global user.email bee@example.org
git config --global init.defaultBranch main

# A wrapper of Nix that logs its calls to $work/calls and runs $work/hook before each evaluation.
mkdir "$work/bin"
cat >"$work/bin/nix-instantiate" <<SH
#!/bin/sh
echo "\$*" >>$work/calls
[ ! -e $work/hook ] || sh $work/hook
exec $(command -v nix-instantiate) "\$@"
SH
chmod +x "$work/bin/nix-instantiate"
PATH=$work/bin:$PATH

# Each build evaluates without the cache, in one process where one is enough; the last sections test the cache.
waggle() {
    [[ $1 != build ]] || set -- "$@" --no-eval-cache --eval-workers 1
    cached_waggle "$@"
}
cached_waggle() {
    status=0
    : >"$work/calls"
    out=$("$build_dir/trigger/waggle" "$@" 2>"$work/err") || status=$?
    err=$(<"$work/err")
}
exits() { [[ $status = "$1" ]]; }
nodes() { [[ $status = 0 && $(awk '{ print $1 }' <<<"$out" | paste -sd ' ') = "$1" ]]; }
evaluations() { [[ $(wc -l <"$work/calls") = "$1" ]]; }
says_once() { [[ $(grep -c -- "$1" <<<"$err") = 1 ]]; }

machine=$(grep -v "^#" "$machine") # as text: a flake cannot read files outside of it
agent="{ services.waggle-agent = { enable = true; operators = [ \"$key\" ]; package = pkgs.hello; }; }"

# A copy of this project: a hive needs its modules and makeHive.
mkdir waggle
cp -r "$source_dir"/{flake.nix,package.nix,nixos-module} waggle/

flake() { # OUTPUTS: writes a flake to the current directory
    cat >flake.nix <<NIX
{
  inputs = {
    nixpkgs.url = "path:$nixpkgs";
    waggle = { url = "path:$work/waggle"; inputs.nixpkgs.follows = "nixpkgs"; };
    colmena.url = "path:$source_dir/tests/hives/colmena";
    deploy-rs.url = "path:$source_dir/tests/hives/deploy-rs";
  };
  outputs = { self, nixpkgs, waggle, colmena, deploy-rs }:
    let
      pkgs = import nixpkgs { system = "x86_64-linux"; };
      machine = $machine;
      agent = { pkgs, ... }: $agent;
    in {
      $1
    };
}
NIX
}
enter() { mkdir -p "$work/$1"; cd "$work/$1"; }
hive_words() { # NODE…: prints a hive that makeHive has not made
    printf '{ meta = { nixpkgs = pkgs; name = "bees"; }; defaults = machine;'
    printf ' %s.deployment.tags = [ "t" ];' "$@"
    printf ' }'
}

section "Colmena's makeHive"
enter made
flake "colmenaHive = colmena.lib.makeHive {
    meta = { nixpkgs = pkgs; allowApplyAll = false; specialArgs.colour = \"yellow\"; };
    defaults.imports = [ machine waggle.nixosModules.default agent ];
    host-a = { name, nodes, colour, ... }: { deployment.tags = [ colour ]; networking.hostName = \"before-\${toString nodes.host-b.config.deployment.targetPort}\"; };
    host-b = { deployment.targetPort = 2222; deployment.sshOptions = [ \"-4\" ]; deployment.keys.k.text = \"Colmena declares them\"; deployment.agent.port = 9300; };
  };"
waggle build --dry-run
check "the nodes evaluate with our options alongside Colmena's" nodes "host-a host-b"
check "there are two evaluations: one of the hive, one of all its nodes" evaluations 2
check "one warning names the unused option" says_once "sshOptions is set and not used"
check "the missing lock file is written" test -s flake.lock
waggle build --dry-run --on @yellow
check "--on selects nodes by tag" nodes "host-a"
waggle apply push --identity /nowhere
check "(apply requires an identity first)" fails "/nowhere"
ssh-keygen -q -t ed25519 -N '' -f "$work/id"
waggle apply push --identity "$work/id"
check "apply respects the hive's allowApplyAll" fails "forbids deploying all nodes at once"
sed -i 's/waggle.nixosModules.default agent/{ }/; s/ deployment.agent.port = 9300;//' flake.nix
waggle build --dry-run
check "the hive also evaluates without our modules" nodes "host-a host-b"

section "other outputs and their precedence"
enter all
flake "colmena = $(hive_words legacy);
  nixosConfigurations.plain = nixpkgs.lib.nixosSystem { system = \"x86_64-linux\"; modules = [ machine { networking.hostName = \"p\"; } ]; };
  nixosConfigurations.agent = nixpkgs.lib.nixosSystem { system = \"x86_64-linux\"; modules = [ machine waggle.nixosModules.default waggle.nixosModules.colmenaOptions agent
    { networking.hostName = \"p\"; deployment.tags = [ \"t\" ]; deployment.targetHost = \"10.0.0.1\"; } ]; };
  elsewhere.hive = $(hive_words other);"
waggle build --dry-run
check "a legacy hive takes precedence over nixosConfigurations" nodes "legacy"
waggle build --dry-run -f .#nixosConfigurations
check "nixosConfigurations can be selected by name" nodes "agent plain"
waggle build --dry-run -f .#nixosConfigurations --on @t
check "nixosConfigurations can have tags" nodes "agent"
waggle build --dry-run -f .#elsewhere.hive
check "any output can be selected by name" nodes "other"
waggle build --dry-run -f .#nothing
check "a missing output is an error" fails "has no output \`nothing'"
flake "waggleHive = waggle.lib.makeHive $(hive_words ours); colmenaHive = colmena.lib.makeHive $(hive_words theirs);
  colmena = throw \"not looked at\"; nixosConfigurations = throw \"not looked at\";"
waggle build --dry-run
check "waggleHive takes precedence over all other outputs" nodes "ours"
waggle build --dry-run -f flake.nix#colmenaHive
check "colmenaHive can be selected by name" nodes "theirs"
sed -i 's/waggleHive = /aHive = /' flake.nix
waggle build --dry-run
check "colmenaHive takes precedence over a legacy hive" nodes "theirs"
echo '{ from-file = { }; }' >hive.nix
mkdir -p below
cd below
waggle build --dry-run
check "flake.nix takes precedence over hive.nix, also from a subdirectory" nodes "theirs"
cd ..
NIX_PATH=nixpkgs=$nixpkgs waggle build --dry-run --on nobody -f hive.nix
check "hive.nix can be selected by name" fails "“nobody”"
flake "packages = { };"
waggle build --dry-run
check "the error for a flake without a hive mentions the hive.nix next to it" fails "none of the outputs waggleHive, colmenaHive, colmena, deploy, nixosConfigurations" "hive.nix in its folder"

section "deploy-rs"
enter deploy-rs
flake "nixosConfigurations.web = nixpkgs.lib.nixosSystem { system = \"x86_64-linux\"; modules = [ machine waggle.nixosModules.default agent { networking.hostName = \"w\"; } ]; };
  nixosConfigurations.db-system = nixpkgs.lib.nixosSystem { system = \"x86_64-linux\"; modules = [ machine waggle.nixosModules.default
    { networking.hostName = \"d\"; deployment.agent.via = \"ssh\"; } ]; };
  nixosConfigurations.not-deployed = nixpkgs.lib.nixosSystem { system = \"x86_64-linux\"; modules = [ machine { networking.hostName = \"n\"; } ]; };
  deploy = {
    sshUser = \"everybody\";
    nodes.web = { hostname = \"10.0.0.1\"; remoteBuild = true; profiles.system.path = deploy-rs.lib.x86_64-linux.activate.nixos self.nixosConfigurations.web; };
    nodes.db = { hostname = \"db.example.org\"; sshUser = \"bee\"; profiles.system.path = self.nixosConfigurations.db-system.config.system.build.toplevel; };
  };"
waggle nodes --json
check "waggle nodes lists the nodes with their hosts" satisfies 'select(.type == "result") | [.nodes[] | [.name, .host]] == [["db", "db.example.org"], ["web", "10.0.0.1"]]'
waggle build --dry-run
check "one warning names the unused targetUser of a node reached through SSH" says_once "deployment.targetUser is set and not used"
check "nodes evaluate whatever the name of the configuration that they activate" nodes "db web"
waggle eval -E '{ nodes, ... }: builtins.mapAttrs (_: n: [ n.config.networking.hostName n.config.deployment.targetUser n.config.deployment.buildOnTarget ]) nodes'
check "sshUser of a node takes precedence over the common one; remoteBuild sets buildOnTarget" answers '{"db": ["d", "bee", false], "web": ["w", "everybody", true]}'
for output in deploy deploy.nodes; do
    waggle build --dry-run -f ".#$output" --on web
    check ".#$output selects the nodes of deploy-rs" nodes web
done
waggle build --dry-run -f .#nixosConfigurations
check "nixosConfigurations can still be selected by name" nodes "db-system not-deployed web"
sed -i 's/profiles.system.path = self.*toplevel;/profiles.home.path = deploy-rs.lib.x86_64-linux.activate.custom pkgs.hello "x";/' flake.nix
waggle build --dry-run
check "a node without a system profile is skipped" nodes web
check "a warning names the skipped node and the reason" warns "skipping \`db': no profile \`system'"
sed -i 's/activate.nixos self.nixosConfigurations.web;/activate.custom pkgs.hello "x";/' flake.nix
waggle build --dry-run
check "a system profile that activates no NixOS configuration is an error" fails "deploy.nodes.web.profiles.system.path" "activates none of the flake's nixosConfigurations"

section "waggle nodes, eval and repl with flakes"
enter looking
git init -q
flake "waggleHive = waggle.lib.makeHive { meta.nixpkgs = pkgs; defaults = machine; a = ./a.nix; b.deployment.targetHost = \"10.0.0.2\"; };
  nixosConfigurations.plain = nixpkgs.lib.nixosSystem { system = \"x86_64-linux\"; modules = [ machine { networking.hostName = \"p\"; } ]; };"
echo '{ deployment.tags = [ "web" ]; }' >a.nix
git add .
waggle nodes --json
check "waggle nodes lists the names, tags, hosts and systems of the nodes" satisfies 'select(.type == "result") | [.nodes[] | [.name, .tags, .host, .system]] == [["a", ["web"], "a", "x86_64-linux"], ["b", [], "10.0.0.2", "x86_64-linux"]]'
waggle nodes --json -f .#nixosConfigurations
check "waggle nodes lists nixosConfigurations" satisfies 'select(.type == "result") | [.nodes[] | [.name, .tags, .host]] == [["plain", [], "plain"]]'
waggle eval -E '{ nodes, lib, ... }: lib.mapAttrs (_: n: n.config.deployment.targetHost) nodes'
check "waggle eval evaluates an expression" answers '{"a": "a", "b": "10.0.0.2"}'
waggle eval -f .#nixosConfigurations -E '{ nodes, pkgs, ... }: [ nodes.plain.config.networking.hostName (pkgs ? lib) ]'
check "waggle eval works with nixosConfigurations" answers '["p", true]'
echo '{ nodes, ... }: builtins.attrNames nodes' >"$work/question.nix"
waggle eval "$work/question.nix"
check "waggle eval accepts a file outside of the flake" answers '["a", "b"]'
waggle eval --instantiate -E '{ nodes, ... }: nodes.a.config.system.build.toplevel'
check "waggle eval --instantiate prints an existing derivation" test "$status" = 0 -a -f "$out"
echo '{ deployment.tags = [ "edited" ]; }' >a.nix
waggle eval -E '{ nodes, ... }: nodes.a.config.deployment.tags'
check "waggle eval sees an uncommitted edit" answers '["edited"]'
waggle repl <<<'"tags: " + toString nodes.a.config.deployment.tags + toString (builtins.attrNames nodes)'
check "waggle repl has the nodes in scope" grep -q 'tags: editeda b' <<<"$out"
waggle repl -f .#nixosConfigurations <<<'"host: " + nodes.plain.config.networking.hostName'
check "waggle repl works with nixosConfigurations" grep -q 'host: p' <<<"$out"

section "a deployment that would remove the agent"
if fixture_only "a deployment of a built system"; then
    enter refused
    flake "nixosConfigurations.plain = nixpkgs.lib.nixosSystem { system = \"x86_64-linux\"; modules = [ machine ]; };"
    echo "plain $key" >known_hosts
    waggle apply --identity "$work/id" --known-hosts known_hosts
    check "the deployment is refused" exits 5
    check "the output explains the refusal" grep -q 'services.waggle-agent.enable, so this deployment would be the last one' <<<"$out"
fi

section "evaluation is pure by default"
enter purity
flake "waggleHive = waggle.lib.makeHive { meta.nixpkgs = pkgs; defaults = machine;
    a.deployment.tags = [ (builtins.readFile \"$work/outside\") ]; b.deployment.tags = [ (builtins.currentSystem or \"none\") ]; };"
echo -n outside >"$work/outside"
waggle build --dry-run
check "reading an absolute path is an error" fails "access to absolute path" "is forbidden"
check "only the node that reads the path fails" test "$(awk '{ print $1 }' <<<"$out")" = b
waggle nodes --json --on b
check "builtins.currentSystem does not exist" grep -q '"tags": *\["none"\]' <<<"$out"
waggle build --dry-run --on @outside --impure
check "--impure allows reading an absolute path" nodes a
waggle build --dry-run --on @none
check "a selection by tag fails if a node's tags read an absolute path" fails "access to absolute path" "is forbidden"
waggle build --dry-run --on a --option pure-eval false
check "--option takes precedence over Waggle's own Nix options" nodes a
waggle build --dry-run --on a --show-trace
check "--show-trace prints the trace of the error" fails "while evaluating the node \`a'"

if [[ -n ${WAGGLE_TEST_NIXPKGS:-} ]]; then
    echo "SKIP  real NixOS for git and references: which tree is evaluated does not depend on what is in it"
    real_nixpkgs=$nixpkgs nixpkgs=$source_dir/tests/hives/nixpkgs
fi

section "git"
enter repository
git init -q
flake "waggleHive = waggle.lib.makeHive { meta.nixpkgs = pkgs; defaults = machine; a = ./a.nix; };"
echo '{ deployment.tags = [ "first" ]; }' >a.nix
git add flake.nix
waggle build --dry-run
check "a file that git does not track is missing, and the error suggests git add" fails "a.nix" "git add"
git add a.nix
waggle build --dry-run
check "an uncommitted tree evaluates" nodes a
check "a warning reports the dirty tree" warns "dirty"
check "the lock file is created and tracked by git" test -n "$(git ls-files flake.lock)"
check "evaluators read the copy in the store, locked by its hash" grep -q 'getFlake "path:/nix/store/[^"]*-source?narHash=sha256-[^"]*&lastModified=' "$work/calls"
git add flake.lock
git commit -qm first
waggle build --dry-run
check "a clean tree is locked by its revision" grep -q "getFlake \"git+file://$work/repository?[^\"]*rev=$(git rev-parse HEAD)" "$work/calls"
check "no warning reports a dirty tree" test -z "$(grep -i dirty <<<"$err")"
clean=$out
echo "echo '{ deployment.tags = [ \"edited\" ]; networking.hostName = \"edited\"; }' >$work/repository/a.nix" >"$work/hook"
waggle build --dry-run
check "an edit during a run does not affect that run" test "$out" = "$clean" -a -n "$(git status --porcelain)"
waggle build --dry-run --on @edited
check "the next run sees the edit" nodes a
check "all evaluators of a run read the same tree" test "$(grep -o 'getFlake "[^"]*"' "$work/calls" | sort -u | wc -l)" = 1
rm "$work/hook"
git checkout -q a.nix
mkdir -p deep/er && mv flake.nix flake.lock a.nix deep/er/ && git add -A && git commit -qm deep
cd deep/er
waggle build --dry-run
check "a flake in a subdirectory of a repository evaluates" nodes a
echo '# dirty' >>a.nix
waggle build --dry-run
check "a dirty flake in a subdirectory evaluates" nodes a
echo '{ deployment.tags = [ "beside" ]; }' >../beside.nix
git add ../beside.nix
echo 'import ../beside.nix' >a.nix
waggle build --dry-run --on @beside
check "a flake in a subdirectory can read the rest of the repository" nodes a
git reset -q --hard

section "submodules"
enter part && git init -q && echo '{ deployment.tags = [ "of-a-submodule" ]; }' >a.nix && git add . && git commit -qm part
enter whole && git init -q
flake "waggleHive = waggle.lib.makeHive { meta.nixpkgs = pkgs; defaults = machine; a = ./part/a.nix; };"
git -c protocol.file.allow=always submodule add -q "$work/part" part
git add . && nix --extra-experimental-features 'nix-command flakes' flake lock 2>/dev/null && git add . && git commit -qm whole
git config --global protocol.file.allow always
waggle build --dry-run -f "git+file://$work/whole?submodules=1" --on @of-a-submodule
check "submodules are part of the tree if the reference requests them" nodes a
waggle build --dry-run -f "git+file://$work/whole"
check "submodules are missing otherwise, and the error suggests ?submodules=1" fails "part/a.nix" "“part” is a git submodule" "?submodules=1"
cached_waggle build --dry-run -f "git+file://$work/whole?submodules=1"
cached_waggle build --dry-run -f "git+file://$work/whole"
check "a cached evaluation with submodules is not used without them" fails "part/a.nix"
cd "$work"

section "references"
for reference in "git+file://$work/repository?dir=deep/er" "git+file://$work/repository?dir=deep/er#waggleHive" \
    "path:$work/repository/deep/er" "$work/repository/deep/er#waggleHive" "repository/deep/er/flake.nix"; do
    waggle build --dry-run -f "$reference"
    check "$reference evaluates" nodes a
done
waggle build --dry-run --keep-result -f "git+file://$work/repository?dir=nowhere"
check "a reference to a missing directory is an error" fails "nowhere"
waggle build -f nothing:at-all
check "an invalid reference is an error" fails "nothing:at-all"
section "only the requested nodes are evaluated"
nixpkgs=${real_nixpkgs:-$nixpkgs}
enter far
cat >hive.nix <<NIX
{
  meta.nixpkgs = import $nixpkgs { };
  defaults = $machine;
  alpha = { deployment.tags = [ "web" ]; networking.hostName = "alpha-far"; };
  beta = { deployment.tags = [ "db" ]; networking.hostName = "beta-far"; };
  delta = { deployment.tags = [ "db" ]; networking.hostName = "delta-far"; };
  gamma = { pkgs, ... }: { deployment.tags = [ "db" ]; environment.systemPackages = [ (throw "gamma is instantiated") ]; };
  broken = throw "broken is evaluated";
}
NIX
waggle build --dry-run --on alpha,beta
check "a selection by name evaluates no other node" nodes "alpha beta"
check "there are two evaluations: the hive and one chunk" evaluations 2
sed -i '/broken/d' hive.nix
waggle build --dry-run --on @web
check "a selection by tag instantiates no other node" nodes alpha
check "the store has no system derivation of another node" test -z "$(compgen -G '/nix/store/*-nixos-system-delta-far-*.drv')"
waggle build --dry-run --eval-node-limit 1 --on alpha,beta
check "nodes evaluate in chunks of one" nodes "alpha beta"
waggle build --dry-run
check "a node with a broken system fails" fails "gamma is instantiated"
check "the other nodes evaluate" test "$(awk '{ print $1 }' <<<"$out" | paste -sd ' ')" = "alpha beta delta"
check "the store now has the system derivation of another node" test -n "$(compgen -G '/nix/store/*-nixos-system-delta-far-*.drv')"
sed -i 's/defaults = {/defaults = { deployment.sshOptions = [ "-4" ];/; /gamma/d' hive.nix
waggle build --dry-run --eval-node-limit 1
check "one warning names the unused option, however many evaluators there are" says_once "sshOptions is set and not used"

section "the evaluation cache"
enter twice
git init -q
flake "waggleHive = waggle.lib.makeHive { meta.nixpkgs = pkgs; defaults = machine;
    a.deployment.tags = [ \"web\" ]; b = ./b.nix; c = { }; };"
echo '{ networking.hostName = "first"; }' >b.nix
git add . && nix --extra-experimental-features 'nix-command flakes' flake lock 2>/dev/null && git add . && git commit -qm first
cached_waggle build --dry-run --on a,b
check "the first build evaluates the nodes" nodes "a b"
cached_waggle build --dry-run --on a,b
check "the second build evaluates nothing" evaluations 0
check "the second build prints the same nodes" nodes "a b"
cached_waggle build --dry-run
check "a build with one more node prints all nodes" nodes "a b c"
check "a build with one more node evaluates only that node" evaluations 1
cached_waggle build --dry-run --on @web
check "the first selection by tag needs one evaluation" evaluations 1
cached_waggle build --dry-run --on '@web,c'
check "the second selection by tag evaluates nothing" evaluations 0
cached_waggle build --dry-run --no-eval-cache --eval-workers 1
check "--no-eval-cache evaluates again" evaluations 2
cached_waggle build --dry-run --eval-workers 1 --option cores 1
check "another Nix option causes a new evaluation" evaluations 2
cached_waggle build --dry-run --eval-workers 1 --option system aarch64-linux
check "another system causes a new evaluation" evaluations 2
for _ in 1 2; do NIX_CONFIG='cores = 3' cached_waggle build --dry-run --eval-workers 1; done
check "the second build with the same NIX_CONFIG evaluates nothing" evaluations 0
echo 'cores = 4' >>"$work/conf/nix.conf"
cached_waggle build --dry-run --eval-workers 1
check "another setting in nix.conf causes a new evaluation" evaluations 2
sed -i '/^cores/d' "$work/conf/nix.conf"
cp -r "$modules" "$work/modules" && echo '# changed' >>"$work/modules/repl.nix"
WAGGLE_NIXOS_MODULE=$work/modules cached_waggle build --dry-run --eval-workers 1
check "a change of Waggle's own Nix files causes a new evaluation" evaluations 2
cat >"$work/bin/nix" <<SH
#!/bin/sh
[ "\$1" != --version ] || { echo 'nix (Nix) 9.9.9'; exit; }
exec $(command -v nix) "\$@"
SH
chmod +x "$work/bin/nix"
cached_waggle build --dry-run --eval-workers 1
check "another version of Nix causes a new evaluation" evaluations 2
rm "$work/bin/nix"
hash -r
cached_waggle build --dry-run --impure --eval-workers 1
cached_waggle build --dry-run --impure --eval-workers 1
check "--impure evaluates every time" evaluations 2
cached_waggle build --dry-run
drv=$(awk '$1 == "b" { print $2 }' <<<"$out")
nix-store --delete "$drv" >/dev/null 2>&1
check "(a derivation is deleted)" test ! -e "$drv"
cached_waggle build --dry-run
check "only the node whose derivation is gone is evaluated again" evaluations 1
check "the deleted derivation exists again" test -e "$drv"
echo '{ networking.hostName = "second"; }' >b.nix
cached_waggle build --dry-run --eval-workers 1
check "a changed tree causes a new evaluation" evaluations 2
cached_waggle build --dry-run --eval-workers 1
check "the second build of a dirty tree evaluates nothing" evaluations 0
cat >b.nix <<'NIX'
{ lib, ... }: { deployment.keys.token.text = "hunter2-is-secret"; environment.etc.length.text = toString (lib.stringLength "x"); }
NIX
for _ in 1 2; do cached_waggle build --dry-run; done
check "a node with a secret evaluates" nodes "a b c"
check "the cache does not contain the text of the secret" test -z "$(grep -rl hunter2 "$HOME/.cache/waggle")"
cached_waggle nodes --json
check "waggle nodes uses the cache as well" evaluations 0
check "other users have no access to the cache files" test -z "$(find "$HOME/.cache/waggle/eval" -type f -perm /077)"

section "a cache planted by another local user"
if [[ $(cat /proc/self/uid_map) != *" 4294967295" ]]; then
    echo "SKIP  as a user who is root in a namespace only: files cannot be given to somebody else"
elif [[ -e /tmp/.cache ]]; then
    echo "SKIP  there is a /tmp/.cache on this machine already, which is not ours to replace"
else
    trap 'rm -rf /tmp/.cache' EXIT
    attacker=65534
    drv_of() { awk -v node="$1" '$1 == node { print $2 }' <<<"$out"; }
    cached_waggle build --dry-run --eval-workers 1
    honest=$out evil=$(drv_of a)
    plant() { # FOLDER: copies the cache, with the derivation of a in place of that of b
        rm -rf "$1" && mkdir -p "$1" && cp -r "$HOME/.cache/waggle" "$1/waggle"
        sed -i "s|$(basename "$(drv_of b)")|$(basename "$evil")|g" "$1"/waggle/eval/*.json
    }
    out=$honest && plant "$work/mine"
    XDG_CACHE_HOME=$work/mine cached_waggle build --dry-run --eval-workers 1
    check "(a planted cache in the user's own directory would be used)" test "$(drv_of b)" = "$evil"
    # Without HOME, the home directory is that in the password database; the Nix of this test also uses the cache there.
    home=$(getent passwd "$(id -u)" | cut -d: -f6)
    for cache in nix waggle/eval; do
        mkdir -p "$home/.cache/$cache" && mount --bind "$HOME/.cache/$cache" "$home/.cache/$cache"
    done
    out=$honest && plant /tmp/.cache && chown -R $attacker /tmp/.cache
    unset_home=$HOME && unset HOME
    cached_waggle build --dry-run --eval-workers 1
    export HOME=$unset_home
    check "without HOME, /tmp/.cache is not used" test "$out" = "$honest"
    out=$honest && plant "$work/theirs" && chown -R $attacker "$work/theirs"
    XDG_CACHE_HOME=$work/theirs cached_waggle build --dry-run --eval-workers 1
    check "a cache directory of another user is not used" test "$out" = "$honest"
    chown -R 0 "$work/theirs" && chmod -R a+rwX "$work/theirs"
    XDG_CACHE_HOME=$work/theirs cached_waggle build --dry-run --eval-workers 1
    check "a cache directory that all users can write to is not used" test "$out" = "$honest"
    chmod -R go-rwx "$work/theirs" && chown $attacker "$work"/theirs/waggle/eval/*.json
    XDG_CACHE_HOME=$work/theirs cached_waggle build --dry-run --eval-workers 1
    check "another user's cache file in the user's own directory is not used" test "$out" = "$honest"
    mkdir "$work/linked" && mv "$work/mine/waggle" "$work/elsewhere"
    mkdir "$work/linked/waggle" && ln -s "$work/elsewhere/eval" "$work/linked/waggle/eval"
    XDG_CACHE_HOME=$work/linked cached_waggle build --dry-run --eval-workers 1
    check "a cache directory that is a symbolic link is not used" test "$out" = "$honest"
fi

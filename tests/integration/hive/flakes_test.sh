#!/usr/bin/env bash
# Hives in flakes, through the program: which output is used, what it is locked to, what evaluation may look at; and how often and
# how far hives of any kind are evaluated.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"
build_dir=${WAGGLE_BUILD_DIR:-$source_dir/build/dev}
export WAGGLE_NIXOS_MODULE=$modules GIT_CONFIG_NOSYSTEM=1
# The trigger itself says which features of Nix it needs, and there is no <nixpkgs> for flakes.
sed -i '/experimental-features/d' "$work/conf/nix.conf"
unset NIX_PATH
git config --global user.name bee
git config --global user.email bee@example.org
git config --global init.defaultBranch main

# Nix as it is, but its calls are in $work/calls, and $work/hook runs before each evaluation.
mkdir "$work/bin"
cat >"$work/bin/nix-instantiate" <<SH
#!/bin/sh
echo "\$*" >>$work/calls
[ ! -e $work/hook ] || sh $work/hook
exec $(command -v nix-instantiate) "\$@"
SH
chmod +x "$work/bin/nix-instantiate"
PATH=$work/bin:$PATH

# Each build evaluates, in one process where one is enough: what is not evaluated again is the last section's.
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

machine=$(grep -v "^#" "$machine") # as text: a flake reads no file outside
agent="{ services.waggle-agent = { enable = true; operators = [ \"$key\" ]; package = pkgs.hello; }; }"

# This project, of which a hive needs the modules and makeHive.
mkdir waggle
cp -r "$source_dir"/{flake.nix,package.nix,nixos-module} waggle/

flake() { # OUTPUTS: a flake in the current folder
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
hive_words() { # NODE…: a raw hive
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
check "its nodes, with our options beside Colmena's" nodes "host-a host-b"
check "evaluated twice: the hive, and its nodes with all that is wanted of them" evaluations 2
check "what is not used of it is said" says_once "sshOptions is set and not used"
check "what the lock file had not was written to it" test -s flake.lock
waggle build --dry-run --on @yellow
check "tags" nodes "host-a"
waggle apply push --identity /nowhere
check "(an identity is asked for first)" fails "/nowhere"
ssh-keygen -q -t ed25519 -N '' -f "$work/id"
waggle apply push --identity "$work/id"
check "allowApplyAll is that of the hive" fails "forbids deploying all nodes at once"
sed -i 's/waggle.nixosModules.default agent/{ }/; s/ deployment.agent.port = 9300;//' flake.nix
waggle build --dry-run
check "without our modules it evaluates as well" nodes "host-a host-b"

section "the other outputs, and which is first"
enter all
flake "colmena = $(hive_words legacy);
  nixosConfigurations.plain = nixpkgs.lib.nixosSystem { system = \"x86_64-linux\"; modules = [ machine { networking.hostName = \"p\"; } ]; };
  nixosConfigurations.agent = nixpkgs.lib.nixosSystem { system = \"x86_64-linux\"; modules = [ machine waggle.nixosModules.default waggle.nixosModules.colmenaOptions agent
    { networking.hostName = \"p\"; deployment.tags = [ \"t\" ]; deployment.targetHost = \"10.0.0.1\"; } ]; };
  elsewhere.hive = $(hive_words other);"
waggle build --dry-run
check "a legacy hive before configurations" nodes "legacy"
waggle build --dry-run -f .#nixosConfigurations
check "configurations of NixOS" nodes "agent plain"
waggle build --dry-run -f .#nixosConfigurations --on @t
check "which may have tags" nodes "agent"
waggle build --dry-run -f .#elsewhere.hive
check "any output" nodes "other"
waggle build --dry-run -f .#nothing
check "one that there is not" fails "has no output \`nothing'"
flake "waggleHive = waggle.lib.makeHive $(hive_words ours); colmenaHive = colmena.lib.makeHive $(hive_words theirs);
  colmena = throw \"not looked at\"; nixosConfigurations = throw \"not looked at\";"
waggle build --dry-run
check "waggleHive before everything" nodes "ours"
waggle build --dry-run -f flake.nix#colmenaHive
check "colmenaHive by name" nodes "theirs"
sed -i 's/waggleHive = /aHive = /' flake.nix
waggle build --dry-run
check "and before a legacy hive" nodes "theirs"
echo '{ from-file = { }; }' >hive.nix
mkdir -p below
cd below
waggle build --dry-run
check "flake.nix wins over hive.nix, also from below" nodes "theirs"
cd ..
NIX_PATH=nixpkgs=$nixpkgs waggle build --dry-run --on nobody -f hive.nix
check "hive.nix by name" fails "“nobody”"
flake "packages = { };"
waggle build --dry-run
check "a flake that is no hive, with a hive.nix beside" fails "none of the outputs waggleHive, colmenaHive, colmena, deploy, nixosConfigurations" "hive.nix in its folder"

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
check "its nodes, with their hosts" satisfies 'select(.type == "result") | [.nodes[] | [.name, .host]] == [["db", "db.example.org"], ["web", "10.0.0.1"]]'
waggle build --dry-run
check "the user of a way through SSH is said not to be used" says_once "deployment.targetUser is set and not used"
check "their systems are those that the profiles activate, whatever they are called" nodes "db web"
waggle eval -E '{ nodes, ... }: builtins.mapAttrs (_: n: [ n.config.networking.hostName n.config.deployment.targetUser n.config.deployment.buildOnTarget ]) nodes'
check "a user of the node, and one of all of them" answers '{"db": ["d", "bee", false], "web": ["w", "everybody", true]}'
for output in deploy deploy.nodes; do
    waggle build --dry-run -f ".#$output" --on web
    check ".#$output" nodes web
done
waggle build --dry-run -f .#nixosConfigurations
check "the configurations are still a hive by name" nodes "db-system not-deployed web"
sed -i 's/profiles.system.path = self.*toplevel;/profiles.home.path = deploy-rs.lib.x86_64-linux.activate.custom pkgs.hello "x";/' flake.nix
waggle build --dry-run
check "a node without a system is left out" nodes web
check "and it is said" warns "skipping \`db': no profile \`system'"
sed -i 's/activate.nixos self.nixosConfigurations.web;/activate.custom pkgs.hello "x";/' flake.nix
waggle build --dry-run
check "a profile that activates something else" fails "deploy.nodes.web.profiles.system.path" "activates none of the flake's nixosConfigurations"

section "looking at a flake"
enter looking
git init -q
flake "waggleHive = waggle.lib.makeHive { meta.nixpkgs = pkgs; defaults = machine; a = ./a.nix; b.deployment.targetHost = \"10.0.0.2\"; };
  nixosConfigurations.plain = nixpkgs.lib.nixosSystem { system = \"x86_64-linux\"; modules = [ machine { networking.hostName = \"p\"; } ]; };"
echo '{ deployment.tags = [ "web" ]; }' >a.nix
git add .
waggle nodes --json
check "waggle nodes" satisfies 'select(.type == "result") | [.nodes[] | [.name, .tags, .host, .system]] == [["a", ["web"], "a", "x86_64-linux"], ["b", [], "10.0.0.2", "x86_64-linux"]]'
waggle nodes --json -f .#nixosConfigurations
check "of configurations of NixOS" satisfies 'select(.type == "result") | [.nodes[] | [.name, .tags, .host]] == [["plain", [], "plain"]]'
waggle eval -E '{ nodes, lib, ... }: lib.mapAttrs (_: n: n.config.deployment.targetHost) nodes'
check "waggle eval" answers '{"a": "a", "b": "10.0.0.2"}'
waggle eval -f .#nixosConfigurations -E '{ nodes, pkgs, ... }: [ nodes.plain.config.networking.hostName (pkgs ? lib) ]'
check "of configurations, too" answers '["p", true]'
echo '{ nodes, ... }: builtins.attrNames nodes' >"$work/question.nix"
waggle eval "$work/question.nix"
check "a file that is not in the flake" answers '["a", "b"]'
waggle eval --instantiate -E '{ nodes, ... }: nodes.a.config.system.build.toplevel'
check "waggle eval --instantiate" test "$status" = 0 -a -f "$out"
echo '{ deployment.tags = [ "edited" ]; }' >a.nix
waggle eval -E '{ nodes, ... }: nodes.a.config.deployment.tags'
check "what is edited is seen" answers '["edited"]'
waggle repl <<<'"tags: " + toString nodes.a.config.deployment.tags + toString (builtins.attrNames nodes)'
check "waggle repl" grep -q 'tags: editeda b' <<<"$out"
waggle repl -f .#nixosConfigurations <<<'"host: " + nodes.plain.config.networking.hostName'
check "of configurations as well" grep -q 'host: p' <<<"$out"

section "who would lose its agent"
if fixture_only "a deployment of a built system"; then
    enter refused
    flake "nixosConfigurations.plain = nixpkgs.lib.nixosSystem { system = \"x86_64-linux\"; modules = [ machine ]; };"
    echo "plain $key" >known_hosts
    waggle apply --identity "$work/id" --known-hosts known_hosts
    check "is refused" exits 5
    check "and told why" grep -q 'services.waggle-agent.enable, so this deployment would be the last one' <<<"$out"
fi

section "pure, unless it is said"
enter purity
flake "waggleHive = waggle.lib.makeHive { meta.nixpkgs = pkgs; defaults = machine;
    a.deployment.tags = [ (builtins.readFile \"$work/outside\") ]; b.deployment.tags = [ (builtins.currentSystem or \"none\") ]; };"
echo -n outside >"$work/outside"
waggle build --dry-run
check "a path of this machine fails its node" fails "access to absolute path" "is forbidden"
check "and no other" test "$(awk '{ print $1 }' <<<"$out")" = b
waggle build --dry-run --on @outside --impure
check "--impure allows it" nodes a
waggle build --dry-run --on @none
check "there is no current system, either" fails "access to absolute path" "is forbidden"
waggle build --dry-run --on a --option pure-eval false
check "--option is passed on, after our own" nodes a
waggle build --dry-run --on a --show-trace
check "--show-trace shows the way to the error" fails "while evaluating the node \`a'"

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
check "a file that git does not know is not there, with a word about it" fails "a.nix" "git add"
git add a.nix
waggle build --dry-run
check "a tree that is not committed evaluates" nodes a
check "and it is said" warns "dirty"
check "its lock file is there, and git knows it" test -n "$(git ls-files flake.lock)"
check "evaluators get the store copy, by its hash" grep -q 'getFlake "path:/nix/store/[^"]*-source?narHash=sha256-[^"]*&lastModified=' "$work/calls"
git add flake.lock
git commit -qm first
waggle build --dry-run
check "a clean tree is its revision" grep -q "getFlake \"git+file://$work/repository?[^\"]*rev=$(git rev-parse HEAD)" "$work/calls"
check "and nothing is said" test -z "$(grep -i dirty <<<"$err")"
clean=$out
echo "echo '{ deployment.tags = [ \"edited\" ]; networking.hostName = \"edited\"; }' >$work/repository/a.nix" >"$work/hook"
waggle build --dry-run
check "an edit in the middle of a run comes too late for it" test "$out" = "$clean" -a -n "$(git status --porcelain)"
waggle build --dry-run --on @edited
check "and is there in the next" nodes a
check "of which every evaluator sees the same" test "$(grep -o 'getFlake "[^"]*"' "$work/calls" | sort -u | wc -l)" = 1
rm "$work/hook"
git checkout -q a.nix
mkdir -p deep/er && mv flake.nix flake.lock a.nix deep/er/ && git add -A && git commit -qm deep
cd deep/er
waggle build --dry-run
check "a flake in a folder of a repository" nodes a
echo '# dirty' >>a.nix
waggle build --dry-run
check "dirty, too" nodes a
echo '{ deployment.tags = [ "beside" ]; }' >../beside.nix
git add ../beside.nix
echo 'import ../beside.nix' >a.nix
waggle build --dry-run --on @beside
check "with the rest of the repository" nodes a
git reset -q --hard

section "submodules"
enter part && git init -q && echo '{ deployment.tags = [ "of-a-submodule" ]; }' >a.nix && git add . && git commit -qm part
enter whole && git init -q
flake "waggleHive = waggle.lib.makeHive { meta.nixpkgs = pkgs; defaults = machine; a = ./part/a.nix; };"
git -c protocol.file.allow=always submodule add -q "$work/part" part
git add . && nix --extra-experimental-features 'nix-command flakes' flake lock 2>/dev/null && git add . && git commit -qm whole
git config --global protocol.file.allow always
waggle build --dry-run -f "git+file://$work/whole?submodules=1" --on @of-a-submodule
check "are part of the tree where they are asked for" nodes a
waggle build --dry-run -f "git+file://$work/whole"
check "and not where they are not, with a word about it" fails "part/a.nix" "“part” is a git submodule" "?submodules=1"
cached_waggle build --dry-run -f "git+file://$work/whole?submodules=1"
cached_waggle build --dry-run -f "git+file://$work/whole"
check "one is not taken for the other" fails "part/a.nix"
cd "$work"

section "references"
for reference in "git+file://$work/repository?dir=deep/er" "git+file://$work/repository?dir=deep/er#waggleHive" \
    "path:$work/repository/deep/er" "$work/repository/deep/er#waggleHive" "repository/deep/er/flake.nix"; do
    waggle build --dry-run -f "$reference"
    check "$reference" nodes a
done
waggle build --dry-run --keep-result -f "git+file://$work/repository?dir=nowhere"
check "one that leads nowhere" fails "nowhere"
waggle build -f nothing:at-all
check "one that is none" fails "nothing:at-all"
section "as far as it is asked for"
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
check "by name: no other node is evaluated" nodes "alpha beta"
check "the hive and one chunk: two evaluators" evaluations 2
sed -i '/broken/d' hive.nix
waggle build --dry-run --on @web
check "by tag: no other is instantiated" nodes alpha
check "nothing of another's system is in the store" test -z "$(compgen -G '/nix/store/*-nixos-system-delta-far-*.drv')"
waggle build --dry-run --eval-node-limit 1 --on alpha,beta
check "in chunks of one" nodes "alpha beta"
waggle build --dry-run
check "a node whose system is broken fails alone" fails "gamma is instantiated"
check "and the others do not" test "$(awk '{ print $1 }' <<<"$out" | paste -sd ' ')" = "alpha beta delta"
check "whose systems are in the store now" test -n "$(compgen -G '/nix/store/*-nixos-system-delta-far-*.drv')"
sed -i 's/defaults = {/defaults = { deployment.sshOptions = [ "-4" ];/; /gamma/d' hive.nix
waggle build --dry-run --eval-node-limit 1
check "what is not used is said once, in however many evaluators" says_once "sshOptions is set and not used"

section "nothing twice"
enter twice
git init -q
flake "waggleHive = waggle.lib.makeHive { meta.nixpkgs = pkgs; defaults = machine;
    a.deployment.tags = [ \"web\" ]; b = ./b.nix; c = { }; };"
echo '{ networking.hostName = "first"; }' >b.nix
git add . && nix --extra-experimental-features 'nix-command flakes' flake lock 2>/dev/null && git add . && git commit -qm first
cached_waggle build --dry-run --on a,b
check "the first time is evaluated" nodes "a b"
cached_waggle build --dry-run --on a,b
check "the second time is not" evaluations 0
check "and gives the same" nodes "a b"
cached_waggle build --dry-run
check "a node that is not known yet is" nodes "a b c"
check "by its evaluator only" evaluations 1
cached_waggle build --dry-run --on @web
check "tags are looked at once" evaluations 1
cached_waggle build --dry-run --on '@web,c'
check "and then known" evaluations 0
cached_waggle build --dry-run --no-eval-cache --eval-workers 1
check "--no-eval-cache evaluates" evaluations 2
cached_waggle build --dry-run --eval-workers 1 --option cores 1
check "so does another option" evaluations 2
cached_waggle build --dry-run --eval-workers 1 --option system aarch64-linux
check "another system" evaluations 2
for _ in 1 2; do NIX_CONFIG='cores = 3' cached_waggle build --dry-run --eval-workers 1; done
check "a setting by the environment, once" evaluations 0
echo 'cores = 4' >>"$work/conf/nix.conf"
cached_waggle build --dry-run --eval-workers 1
check "or one in nix.conf" evaluations 2
sed -i '/^cores/d' "$work/conf/nix.conf"
cp -r "$modules" "$work/modules" && echo '# changed' >>"$work/modules/repl.nix"
WAGGLE_NIXOS_MODULE=$work/modules cached_waggle build --dry-run --eval-workers 1
check "Waggle's own Nix files" evaluations 2
cat >"$work/bin/nix" <<SH
#!/bin/sh
[ "\$1" != --version ] || { echo 'nix (Nix) 9.9.9'; exit; }
exec $(command -v nix) "\$@"
SH
chmod +x "$work/bin/nix"
cached_waggle build --dry-run --eval-workers 1
check "another version of Nix" evaluations 2
rm "$work/bin/nix"
hash -r
cached_waggle build --dry-run --impure --eval-workers 1
cached_waggle build --dry-run --impure --eval-workers 1
check "and --impure, always" evaluations 2
cached_waggle build --dry-run
drv=$(awk '$1 == "b" { print $2 }' <<<"$out")
nix-store --delete "$drv" >/dev/null 2>&1
check "(a derivation is deleted)" test ! -e "$drv"
cached_waggle build --dry-run
check "the node whose derivation is gone is evaluated again, and no other" evaluations 1
check "and it is there" test -e "$drv"
echo '{ networking.hostName = "second"; }' >b.nix
cached_waggle build --dry-run --eval-workers 1
check "a changed tree is another" evaluations 2
cached_waggle build --dry-run --eval-workers 1
check "which is known by its hash, too" evaluations 0
cat >b.nix <<'NIX'
{ lib, ... }: { deployment.keys.token.text = "hunter2-is-secret"; environment.etc.length.text = toString (lib.stringLength "x"); }
NIX
for _ in 1 2; do cached_waggle build --dry-run; done
check "a node with a secret evaluates" nodes "a b c"
check "whose text is written nowhere" test -z "$(grep -rl hunter2 "$HOME/.cache/waggle")"
cached_waggle nodes --json
check "waggle nodes knows what was evaluated, too" evaluations 0
check "the cache is nobody else's" test -z "$(find "$HOME/.cache/waggle/eval" -type f -perm /077)"

section "the cache of another local user, who wants his own system signed"
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
    plant() { # FOLDER: the cache as it is, but for b the derivation of a
        rm -rf "$1" && mkdir -p "$1" && cp -r "$HOME/.cache/waggle" "$1/waggle"
        sed -i "s|$(basename "$(drv_of b)")|$(basename "$evil")|g" "$1"/waggle/eval/*.json
    }
    out=$honest && plant "$work/mine"
    XDG_CACHE_HOME=$work/mine cached_waggle build --dry-run --eval-workers 1
    check "(what is planted would be believed of one's own folder)" test "$(drv_of b)" = "$evil"
    # Without HOME, the home is that of the password database. Its cache may also have the Nix of this test.
    home=$(getent passwd "$(id -u)" | cut -d: -f6)
    for cache in nix waggle/eval; do
        mkdir -p "$home/.cache/$cache" && mount --bind "$HOME/.cache/$cache" "$home/.cache/$cache"
    done
    out=$honest && plant /tmp/.cache && chown -R $attacker /tmp/.cache
    unset_home=$HOME && unset HOME
    cached_waggle build --dry-run --eval-workers 1
    export HOME=$unset_home
    check "without HOME, /tmp/.cache is not looked at" test "$out" = "$honest"
    out=$honest && plant "$work/theirs" && chown -R $attacker "$work/theirs"
    XDG_CACHE_HOME=$work/theirs cached_waggle build --dry-run --eval-workers 1
    check "a folder of somebody else's is not believed" test "$out" = "$honest"
    chown -R 0 "$work/theirs" && chmod -R a+rwX "$work/theirs"
    XDG_CACHE_HOME=$work/theirs cached_waggle build --dry-run --eval-workers 1
    check "nor one that everybody can write to" test "$out" = "$honest"
    chmod -R go-rwx "$work/theirs" && chown $attacker "$work"/theirs/waggle/eval/*.json
    XDG_CACHE_HOME=$work/theirs cached_waggle build --dry-run --eval-workers 1
    check "nor a file of somebody else's in one's own folder" test "$out" = "$honest"
    mkdir "$work/linked" && mv "$work/mine/waggle" "$work/elsewhere"
    mkdir "$work/linked/waggle" && ln -s "$work/elsewhere/eval" "$work/linked/waggle/eval"
    XDG_CACHE_HOME=$work/linked cached_waggle build --dry-run --eval-workers 1
    check "nor a folder that is a link" test "$out" = "$honest"
fi

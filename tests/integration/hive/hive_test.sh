#!/usr/bin/env bash
# The hive format: what nixos-module/hive.nix accepts, returns and refuses.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"

cp "$machine" machine.nix

section "information about the hive, without evaluating any node"
hive <<'NIX'
{
  meta = { name = "bees"; description = "Many"; allowApplyAll = false; machinesFile = ./machines; };
  defaults = throw "not evaluated";
  zeta = throw "not evaluated";
  alpha = throw "not evaluated";
  "gamma.example.org" = throw "not evaluated";
}
NIX
ask .info
check "info returns the meta options and the sorted node names" answers '{
    "meta": { "name": "bees", "description": "Many", "allowApplyAll": false, "machinesFile": "'"$work"'/machines", "recoveryRecipients": [] },
    "nodes": ["alpha", "gamma.example.org", "zeta"] }'
hive <<<'{ a = { }; }'
ask .info
check "meta options have defaults" answers \
    '{ "meta": { "name": "hive", "description": "A hive", "allowApplyAll": true, "machinesFile": null, "recoveryRecipients": [] }, "nodes": ["a"] }'
hive <<<'{ network.description = "from morph"; a = { }; }'
ask .info
check "network is an alias of meta" satisfies '.meta.description == "from morph" and .nodes == ["a"]'
hive <<<'{ network = { }; meta = { }; }'
ask .info
check "a hive with both meta and network is refused" fails "both \`meta' and \`network'"
hive <<<'{ meta.nmae = "x"; }'
ask .info
check "the error for an unknown meta option names it and lists the existing ones" fails "\`meta.nmae' does not exist" "\`allowApplyAll'"
hive <<<'{ meta.allowApplyAll = "no"; }'
ask .info
check "a meta option of the wrong type is refused" fails "meta.allowApplyAll must be a boolean, and is a string"

section "a hive can be a function whose arguments have defaults"
hive <<<'{ names ? [ "a" "b" ], ... }: builtins.listToAttrs (map (name: { inherit name; value = { }; }) names)'
ask .info
check "the function is called without arguments" satisfies '.nodes == ["a", "b"]'
hive <<<'{ __functor = self: { ... }: { c = { }; }; }'
ask .info
check "a set with __functor is called as well" satisfies '.nodes == ["c"]'
hive <<<'{ inputs, x ? 1 }: { }'
ask .info
check "a function with a required argument is refused" fails "$work/hive.nix" "requires \`inputs'"
hive <<<'[ ]'
ask .info
check "a list is refused" fails "must be an attribute set" "is a list"

section "deployment options, without evaluating any system"
hive <<NIX
{
  defaults = { deployment.tags = [ "common" ]; };
  a = [
    { deployment.tags = [ "list" ]; }
    ({ name, ... }: { deployment.tags = [ name ]; })
  ];
  b = { name, nodes, lib, ... }: {
    deployment.targetHost = "10.0.0.2";
    deployment.targetPort = 2222;
    deployment.agent.port = 9245;
    deployment.agent.hostKey = "$key";
    deployment.tags = lib.mkForce ([ nodes.a.config.deployment.targetHost ] ++ builtins.attrNames nodes);
    services.waggle-agent.enable = true; # without operators: its assertion is not looked at
  };
  c = { deployment.targetHost = null; deployment.agent.enable = false; services.waggle-agent.port = 9300; };
  broken = throw "not selected";
}
NIX
ask '.deployments [ "a" "b" "c" ]'
check "a list of modules can use the argument name and is merged with defaults" satisfies \
    '.a.targetHost == "a" and .a.targetPort == null and (.a.tags | sort) == ["a", "common", "list"] and
     .a.agent == {"enable": true, "port": 9244, "hostKey": null, "via": "direct"}'
check "a node can use the argument nodes and set its own options" satisfies \
    '.b.targetHost == "10.0.0.2" and .b.targetPort == 2222 and .b.agent.port == 9245 and (.b.agent.hostKey | startswith("ssh-ed25519 AAAA"))
     and .b.tags == ["a", "a", "b", "broken", "c"]'
check "a node can disable the agent; agent.port defaults to the port of services.waggle-agent" satisfies \
    '.c.targetHost == null and .c.agent.enable == false and .c.agent.port == 9300'
check "rollback and localContent have defaults" satisfies \
    '.a.rollback == {"enable": true, "confirmTimeout": 60, "activationTimeout": 1800, "onFailedUnits": "rollback"} and .a.localContent == "trust-node"'
ask '.deployments [ ]'
check "a request for no nodes returns an empty set" answers '{}'

section "Colmena's other deployment options are accepted"
hive <<'NIX'
{
  a.deployment = {
    targetUser = null; sshOptions = [ "-4" ]; privilegeEscalationCommand = [ "doas" ]; allowLocalDeployment = true;
  };
}
NIX
ask '.deployments [ "a" ]'
check "these options have no effect" satisfies '.a.targetHost == "a"'

section "meta.specialArgs, meta.nodeSpecialArgs"
hive <<'NIX'
{
  meta.specialArgs = { colour = "black"; size = "small"; };
  meta.nodeSpecialArgs.b.colour = "yellow";
  defaults = { colour, size, ... }: { deployment.tags = [ colour size ]; };
  a = { };
  b = { };
}
NIX
ask '.deployments [ "a" "b" ]'
check "meta.nodeSpecialArgs takes precedence over meta.specialArgs" satisfies '.a.tags == ["black", "small"] and .b.tags == ["yellow", "small"]'

section "meta.nixpkgs in all its forms"
overlay='(final: previous: { mark = (previous.mark or "") + "hive"; })'
for form in "<nixpkgs>" "\"$nixpkgs\"" "import <nixpkgs>" "import <nixpkgs> { }" "{ outPath = \"$nixpkgs\"; }" \
    "import <nixpkgs> { overlays = [ $overlay ]; config.allowUnfree = true; }"; do
    [[ $form != *overlays* ]] || keeps_overlays "$form" || continue
    hive <<<"{ meta.nixpkgs = $form; a = { pkgs, ... }: { deployment.tags = [ (pkgs.mark or \"none\") pkgs.stdenv.hostPlatform.system ]; }; }"
    ask '.deployments [ "a" ]'
    check "$form is accepted" satisfies ".a.tags == [\"$([[ $form == *overlays* ]] && echo hive || echo none)\", \"$(uname -m)-linux\"]"
done
if keeps_overlays "overlays of the hive and of a node"; then
    hive <<NIX
{
  meta.nixpkgs = import <nixpkgs> { overlays = [ $overlay ]; config = { allowUnfree = true; fromHive = 1; }; };
  meta.nodeNixpkgs.b = import <nixpkgs> { };
  defaults = { pkgs, ... }: {
    nixpkgs.overlays = [ (final: previous: { mark = (previous.mark or "") + "+node"; }) ];
    nixpkgs.config.allowUnfree = false;
    deployment.tags = [ pkgs.mark (builtins.toJSON (pkgs.config.allowUnfree or null)) ];
  };
  a = { };
  b = { };
}
NIX
    ask '.deployments [ "a" "b" ]'
    check "overlays add up, a node's config takes precedence, nodeNixpkgs replaces nixpkgs" satisfies \
        '.a.tags == ["hive+node", "false"] and .b.tags == ["+node", "false"]'
fi
hive <<<'{ meta.nixpkgs = 7; a = { }; }'
ask '.deployments [ "a" ]'
check "a number is refused" fails "meta.nixpkgs must be a path, a function or a package set"

section "from a node to its derivation"
hive <<'NIX'
{
  meta.name = "bees";
  defaults = ./machine.nix;
  a = { deployment.tags = [ "t" ]; networking.hostName = "other"; };
  b = { services.waggle-agent.node = "b2"; services.waggle-agent.hive = "other"; };
}
NIX
ask '.nodes [ "a" "b" ]'
check "the result has the names of node and hive, and whether the agent is enabled" satisfies '.a.node == "a" and .a.hive == "bees" and .a.agentEnabled == false and .b.node == "b2" and .b.hive == "other"'
check "the result has the system and the deployment options" satisfies ".a.system == \"$(uname -m)-linux\" and .a.deployment.tags == [\"t\"]"
check "the derivations exist" test -e "$(jq -r .a.drvPath <<<"$out")" -a -e "$(jq -r .b.drvPath <<<"$out")"
if fixture_only "the system of a node"; then
    system=$(nix-store --realise "$(jq -r .a.drvPath <<<"$out")" 2>"$work/err") || { cat "$work/err"; exit 1; }
    check "the derivation builds the announced path" test "$system" = "$(jq -r .a.toplevel <<<"$out")" -a -x "$system/bin/switch-to-configuration"
fi

section "errors"
hive <<<'{ a = { }; b = { }; }'
ask '.nodes [ "a" "nope" "neither" ]'
check "the error for unknown nodes names them and lists the existing ones" fails "there is no node \`nope', \`neither'" "\`a', \`b'"
hive <<'NIX'
{
  good = { nodes, ... }: { deployment.tags = [ nodes.bad.config.deployment.targetHost ]; };
  bad = { deployment.noSuchOption = true; };
}
NIX
ask '.deployments [ "bad" ]'
check "an unknown option fails with the module system's error, which names the file" fails \
    "The option \`deployment.noSuchOption'" "does not exist" "$work/hive.nix (node bad)"
ask '.deployments [ "bad" ]' --show-trace
check "the trace names the node" fails "while evaluating the node \`bad'"
ask '.deployments [ "good" ]'
check "another node can still read the options of the broken node" satisfies '.good.tags == ["bad"]'
hive <<<'{ a = { deployment.tags = "web"; }; }'
ask '.deployments [ "a" ]'
check "the error for an option of the wrong type names the file" fails "deployment.tags" "is not of type \`list of string" "$work/hive.nix"
hive <<<'{ a = { deployment.agent.hostKey = "10.0.0.1 ssh-ed25519 AAAA"; }; }'
ask '.deployments [ "a" ]'
check "an invalid host key is refused" fails "deployment.agent.hostKey" "OpenSSH Ed25519 public key"
hive <<<'{ a = { deployment.tags = [ }; }'
ask .info
check "the message for a syntax error names file and line" fails "syntax error" "$work/hive.nix:1:"
rm hive.nix
ask .info
check "a missing hive is an error" fails "$work/hive.nix"

section "warnings reach standard error"
hive <<<'{ defaults = ./machine.nix; a = { warnings = [ "the bees are restless" ]; }; }'
ask '.nodes [ "a" ]'
check "a node with a warning evaluates" satisfies '.a.drvPath | endswith(".drv")'
check "the warning is printed" warns "the bees are restless"

section "a node that imports our modules again"
cp -r "$modules" "$work/copy"
hive <<<'{ defaults.imports = [ ./copy/agent.nix ./copy/deployment.nix ./copy/colmena-options.nix ]; a = { services.waggle-agent.port = 1; }; }'
ask '.deployments [ "a" ]'
check "the options are not declared twice" satisfies '.a.agent.port == 1'

section "a hive that is passed as a value, as in a flake"
out=$(nix eval --json --impure --expr "(import $modules/hive.nix { hive = { meta.nixpkgs = <nixpkgs>; a = { }; }; }).deployments [ \"a\" ]" 2>"$work/err") && status=0 || status=$?
err=$(<"$work/err")
check "a hive that is a value evaluates in the same way" satisfies '.a.targetHost == "a"'
mkdir flake && cp -r "$modules" flake/modules
echo '{ outputs = _: { answer = (import ./modules/hive.nix { hive = { a = { }; }; }).deployments [ "a" ]; }; }' >flake/flake.nix
out=$(nix eval --json "path:$work/flake#answer" 2>"$work/err") && status=0 || status=$?
err=$(<"$work/err")
check "pure evaluation has no <nixpkgs>, and the error says to set meta.nixpkgs" fails "meta.nixpkgs must be set"

#!/usr/bin/env bash
# Every example in examples/ evaluates as it is, and contains what its README describes.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"
examples=$source_dir/examples

quiet='{ documentation.enable = false; }' # the manual takes long to evaluate
hives=()

# Prints a Nix expression, the hive in the example's file as the trigger evaluates it.
hive_of() { # EXAMPLE/FILE
    case $1 in
    */flake.nix) echo "(import $modules/source.nix { shown = \"$1\"; flake.outputs = $(outputs_of "$examples/$1" "$quiet"); })" ;;
    *) echo "(import $modules/hive.nix { path = $examples/$1; modules = [ $quiet ]; })" ;;
    esac
}

# Evaluates all nodes of the hive, in one process, and checks what holds for each example.
example() { # EXAMPLE/FILE NODE…
    local name=${1%%/*}
    section "$name"
    hives+=("$1")
    ask "let hive = $(hive_of "$1"); in { inherit (hive) info; nodes = hive.nodes hive.info.nodes; }"
    check "each node evaluates to a derivation" satisfies 'all(.nodes[].drvPath; endswith(".drv"))'
    check "it has the nodes ${*:2}" satisfies ".info.nodes == $(jq -cn '$ARGS.positional' --args "${@:2}")"
    check "each node has an agent, which belongs to the hive and accepts the placeholder key alone" satisfies \
        ".info.meta.name as \$hive | all(.nodes[]; .agentEnabled and .hive == \$hive and (.operators | length > 0 and all(startswith(\"$key \"))))"
    check "each node has a host in example.org" satisfies 'all(.nodes[].deployment.targetHost | [.] | flatten; any(endswith(".example.org")))'
    check "no secret is written in the hive" satisfies 'all(.nodes[].keys[]; .hasText | not)'
    check "each selector in the README matches names and tags of nodes" selectors_match "$name"
}
selectors_match() { # EXAMPLE
    local terms term
    mapfile -t terms < <(grep -oE -- "--on[ =]'?[^ '\`]+" "$examples/$1/README.md" | sed -E "s/^--on[ =]'?//" | tr ',&' '\n' | tr -d '!')
    for term in "${terms[@]}"; do
        [[ $term == '*' ]] || satisfies ".nodes | to_entries | any(.key == \"$term\" or (.value.deployment.tags | any(\"@\" + . == \"$term\")))" ||
            { echo "      $term is neither a node nor a tag"; return 1; }
    done
}

# Whether a JSON file that the system of a node contains satisfies the condition.
system_has() { # NODE FILE CONDITION
    local drv
    drv=$(nix-store --query --references "$(jq -r ".nodes.$1.drvPath" <<<"$out")" | grep -- "-$2.drv$") || return
    nix-store --query --binding text "$drv" | jq -e "$3" >/dev/null
}

example minimal/hive.nix attic
check "the hive is named home" satisfies '.info.meta.name == "home" and .nodes.attic.node == "attic"'

example flake/flake.nix attic board
check "the nodes have both architectures" satisfies '.nodes.attic.system == "x86_64-linux" and .nodes.board.system == "aarch64-linux"'
check "only the board builds its own system" satisfies '.nodes.board.deployment.buildOnTarget and (.nodes.attic.deployment.buildOnTarget | not)'
check "the nodes have tags" satisfies '[.nodes[].deployment.tags] == [["server"], ["board"]]'

example fleet/hive.nix files1 web1 web2
check "nothing is deployed without --on" satisfies '.info.meta.allowApplyAll == false'
check "the nodes have tags" satisfies '[.nodes[].deployment.tags] == [["storage"], ["web", "canary"], ["web"]]'
check "a node has two addresses" satisfies '.nodes.files1.deployment.targetHost == ["10.0.0.5", "files1.example.org"]'
check "all nodes have the time limit of the rollback" satisfies 'all(.nodes[]; .deployment.rollback.confirmTimeout == 120)'
check "the web servers have a secret from a file, for a service that it restarts" satisfies \
    'all(.nodes.web1, .nodes.web2; .keys.hooks | .keyFile == "/home/alice/secrets/hooks.json" and .path == "/run/keys/hooks"
        and [.user, .group, .permissions] == ["webhook", "webhook", "0400"] and .restartUnits == ["webhook.service"])'
check "the file server has a secret from a command" satisfies '.nodes.files1.keys.restic.keyCommand == ["pass", "show", "fleet/restic"]'
check "no warning reports a unit that does not exist" test "$(grep -c 'deployment\.' <<<"$err")" = 0
check "the web servers have an HTTP health check" system_has web1 waggle-health-checks.json \
    '.http[0] | .url == "http://localhost/" and .headers == {"Host": "hooks.example.org"} and .deadline == 30'
check "the health check of the file server is a command" system_has files1 waggle-health-checks.json \
    '.cmd[0].cmd == ["systemctl", "is-active", "nfs-server.service"]'
check "a failed backup does not cause a rollback" system_has files1 waggle-unit-rules.json '.ignoreUnits == ["restic-backups-*.service"]'

example from-colmena/hive.nix web
check "the node keeps its host, tags and secrets" satisfies \
    '.nodes.web | .deployment.tags == ["web"] and .deployment.targetHost == "web.example.org" and .keys.htpasswd.keyCommand == ["pass", "show", "web/htpasswd"]'

example from-morph/network.nix web01
check "the node keeps its host and tags" satisfies '.nodes.web01.deployment | .tags == ["web"] and .targetHost == "web01.example.org"'
check "morph's secret is a secret" satisfies \
    ".nodes.web01.keys.htpasswd | .path == \"/run/keys/htpasswd\" and .user == \"nginx\" and .keyFile == \"$examples/from-morph/secrets/htpasswd\""
check "morph's health check is a health check" system_has web01 waggle-health-checks.json \
    '.http[0] | .url == "http://localhost:80/healthz" and .period == 1'
check "a warning names the setting of the network without effect that the README lists" warns "network.ordering is not used."
check "a warning names the setting of a secret without effect that the README lists" warns "deployment.secrets.*.action: set and not used"

example from-deploy-rs/flake.nix web
check "the node keeps its hostname" satisfies '.nodes.web.deployment.targetHost == "web.example.org"'

section "all examples"
mapfile -t names < <(printf '%s\n' "${hives[@]%%/*}" | sort)
mapfile -t directories < <(find "$examples" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort)
check "each directory in examples/ is evaluated above" test "${names[*]}" = "${directories[*]}"
fixture_only "what does not depend on NixOS" || exit 0
for hive in "${hives[@]}"; do
    ask "builtins.mapAttrs (_: node: node.config.networking.firewall.allowedTCPPorts) $(hive_of "$hive").configurations"
    check "$hive opens the agent's port on each node" satisfies 'all(.[]; index(9244))'
done

section "READMEs"
names_its_files() { # README
    local file
    for file in "$(dirname "$1")"/*.nix; do grep -q "\`${file##*/}\`" "$1" || { echo "      it does not name $file"; return 1; }; done
}
# The targets of relative links, and the words that end like a relative file's name.
names_existing_files() { # README
    local files file
    mapfile -t files < <(sed -E 's/\]\(([^)#]+)[^)]*\)/ \1 /g' "$1" | grep -oE '[^][()`", ]+\.(nix|md)\b' | grep -v '^[/~]\|^http')
    for file in "${files[@]}"; do [[ -e $(dirname "$1")/$file ]] || { echo "      there is no $file"; return 1; }; done
    [[ ${#files[@]} -gt 0 ]]
}
for name in "${names[@]}"; do
    check "examples/README.md links to $name" grep -q "]($name/README.md)" "$examples/README.md"
    check "the README of $name names each of its files" names_its_files "$examples/$name/README.md"
    check "the files exist that the README of $name names" names_existing_files "$examples/$name/README.md"
done

section "other tools"
ask "(import $source_dir/tests/hives/colmena/make-hive.nix (import $examples/from-colmena/hive.nix)).evalSelectedDrvPaths [ \"web\" ]"
check "Colmena still evaluates its hive, with the agent" satisfies '.web | endswith(".drv")'
ask "let inherit ((import $source_dir/tests/hives/morph/eval-machines.nix (import $examples/from-morph/network.nix)).nodes.web01) config; in {
    drv = config.system.build.toplevel.drvPath; inherit (config.services.waggle-agent) enable node; }"
check "morph still evaluates its network, with the agent" satisfies '.enable and .node == "web01" and (.drv | endswith(".drv"))'

section "flakes as Nix itself evaluates them: purely, with their own inputs"
mkdir waggle
cp -r "$source_dir"/{flake.nix,package.nix,nixos-module} waggle/
pure() { # EXAMPLE OUTPUT FUNCTION [nix eval arguments]
    status=0
    out=$(nix eval --json --no-write-lock-file --override-input nixpkgs "path:$nixpkgs" --override-input waggle "path:$work/waggle" \
        "${@:4}" "path:$examples/$1#$2" --apply "$3" 2>"$work/err") || status=$?
    err=$(<"$work/err")
}
pure flake nixosConfigurations 'builtins.mapAttrs (_: node: node.config.system.build.toplevel.drvPath)'
check "flake evaluates" satisfies 'keys == ["attic", "board"] and all(.[]; endswith(".drv"))'
pure from-deploy-rs deploy.nodes 'builtins.mapAttrs (_: node: node.profiles.system.path.drvPath)' \
    --override-input deploy-rs "path:$source_dir/tests/hives/deploy-rs"
check "from-deploy-rs evaluates" satisfies 'keys == ["web"] and all(.[]; endswith(".drv"))'

#!/usr/bin/env bash
# nixos-module/keys.nix: the units, activation snippets and settings that a node with secrets gets.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"

# Of node a with these modules: units by name in $out.units, snippets, the agent's settings.
node() { # MODULE
    hive <<NIX
{
  a = { pkgs, lib, ... }: {
    imports = [ ($1) $machine ];
    services.waggle-agent = { enable = true; package = pkgs.hello; operators = [ "$key op" ]; };
  };
}
NIX
    # shellcheck disable=SC2016  # Nix
    ask 'let inherit (hive.configurations.a) config; names = builtins.filter (name: builtins.match ".*(-key|waggle-secrets.*)" name != null)
          (builtins.attrNames config.systemd.services); in {
        units = builtins.listToAttrs (map (name: { inherit name; value = {
            inherit (config.systemd.units."${name}.service") text wantedBy; }; }) names);
        # NixOS has made one script of them, in their order.
        order = builtins.concatStringsSep "" (map (match: if builtins.isList match then " ${builtins.head match}" else "")
          (builtins.split "#### Activation script snippet ([^:]*):" (config.system.activationScripts.script or "")));
        # One without dependencies may be its text alone.
        snippets = builtins.mapAttrs (_: snippet: if builtins.isString snippet then { text = snippet; deps = [ ]; } else { inherit (snippet) text deps; })
            (builtins.intersectAttrs { waggleSecretOwners = 1; waggleSecretsForUsers = 1; users = 1; } config.system.activationScripts);
        inherit (config.services.waggle-agent) secretMounts oldIdentityFiles;
    }'
    check "evaluates" succeeds
}
# Snippet A comes before B.
in_order() {
    local order
    order=$(jq -r .order <<<"$out")
    if [[ -n $order ]]; then
        grep -q " $1 .*$2 " <<<"$order "
    else
        jq -e --arg a "$1" --arg b "$2" '.snippets[$b].deps | index($a) != null' <<<"$out" >/dev/null
    fi
}
no() { ! "$@" >/dev/null; }
unit_has() { # UNIT LINE
    jq -r --arg unit "$1" '.units[$unit].text' <<<"$out" | grep -Exq -- "$2" || { jq -r --arg unit "$1" '.units[$unit].text' <<<"$out"; return 1; }
}

section "a node without secrets"
node '{ }'
check "brings the newest ones back all the same" satisfies '.units | keys == ["waggle-secrets"]'
check "before anything else" satisfies '.units["waggle-secrets"].wantedBy == ["sysinit.target"]'
for line in 'Type=oneshot' 'DefaultDependencies=false' 'RemainAfterExit=true' 'LimitCORE=0' 'X-RestartIfChanged=false' \
    'RequiresMountsFor=/var/lib/waggle-agent' 'Before=(.* )?network-pre.target( .*)?' 'Before=(.* )?systemd-networkd.service( .*)?' \
    'ExecStart=/nix/store/[^ ]*/bin/waggle-agent install-secrets --stage boot --config /nix/store/[^ ]*-waggle-agent.json'; do
    check "$line" unit_has waggle-secrets "$line"
done
check "no snippet of ours" satisfies '.snippets.waggleSecretOwners == null and .snippets.waggleSecretsForUsers == null'

section "a secret"
node '{ deployment.keys.web = { text = "x"; }; }'
check "has its unit, which nothing but its users wants" satisfies '.units["web-key"].wantedBy == []'
for line in 'After=waggle-secrets.service' 'Wants=waggle-secrets.service' 'X-RestartIfChanged=false' 'TimeoutStartSec=infinity' \
    'ExecStart=/nix/store/[^ ]*/bin/waggle-agent await-secret web --config /nix/store/[^ ]*-waggle-agent.json'; do
    check "$line" unit_has web-key "$line"
done
check "is handed over when its owner is made" in_order users waggleSecretOwners
check "or its group" in_order groups waggleSecretOwners

section "one that users need"
node '{ deployment.keys.password = { text = "x"; neededForUsers = true; }; }'
check "is there before users are made" in_order waggleSecretsForUsers users
check "and after /run/keys is mounted" in_order specialfs waggleSecretsForUsers

section "where a unit makes users"
has_option() { # SET NAME
    hive <<<'{ a = { }; }'
    ask ".configurations.a.options.$1 ? $2"
    answers true || { echo "SKIP  this nixpkgs has no $1.$2"; return 1; }
}
for maker in services.userborn systemd.sysusers; do
    has_option "${maker%.*}" "${maker#*.}" || continue
    node "{ $maker.enable = true; deployment.keys = { web.text = \"x\"; password = { text = \"x\"; neededForUsers = true; }; }; }"
    check "$maker: what users need comes before it" unit_has waggle-secrets-for-users 'Before=sysinit.target systemd-sysusers.service userborn.service .*'
    check "in the boot" satisfies '.units["waggle-secrets-for-users"].wantedBy == ["sysinit.target"]'
    check "all others after it" unit_has waggle-secrets 'After=(.* )?systemd-sysusers.service userborn.service( .*)?'
    check "in a switch they are handed over after it" unit_has waggle-secrets-for-owners 'After=systemd-sysusers.service userborn.service'
    check "and before other units" unit_has waggle-secrets-for-owners 'Before=sysinit-reactivation.target .*'
    check "with each switch" satisfies '.units["waggle-secrets-for-owners"].wantedBy == ["sysinit-reactivation.target"]'
    check "anew" unit_has waggle-secrets-for-owners 'RemainAfterExit=false'
    check "no snippet comes too early for that" satisfies '.snippets.waggleSecretOwners == null and .snippets.waggleSecretsForUsers == null'
done

section "on file systems that come later"
node '{
  fileSystems."/data" = { device = "/dev/sdb1"; fsType = "ext4"; };
  fileSystems."/mnt/far-away" = { device = "server:/x"; fsType = "nfs"; };
  fileSystems."/persist" = { device = "/dev/sdc1"; fsType = "ext4"; neededForBoot = true; };
  fileSystems."/unused" = { device = "/dev/sdd1"; fsType = "ext4"; };
  deployment.keys = {
    one = { text = "x"; destDir = "/data/keys"; };
    two = { text = "x"; destDir = "/mnt/far-away/keys"; };
    three = { text = "x"; destDir = "/persist/keys"; };
  };
}'
check "the agent knows them" satisfies '.secretMounts == ["/data", "/mnt/far-away"]'
check "a unit for each" satisfies '.units | has("waggle-secrets-data") and has("waggle-secrets-mnt-far\\x2daway")'
check "that comes with its mount" satisfies '.units["waggle-secrets-data"].wantedBy == ["data.mount"]'
check "and after it" unit_has waggle-secrets-data 'After=data.mount waggle-secrets.service'
check "whose secrets wait for it" unit_has one-key 'After=waggle-secrets.service waggle-secrets-data.service'
check "the early unit requires none of them" no unit_has waggle-secrets 'RequiresMountsFor=/(data|mnt).*'

section "what they may do"
# The exposure by systemd-analyze, 0 to 10, is at most this; it comes from destDir, which may be anywhere, and from files of others.
if ! command -v systemd-analyze >/dev/null; then
    echo "SKIP  systemd-analyze is not installed"
else
    exposure() { # UNIT: prints it, in tenths
        local unit=$work/$1.service
        jq -r --arg unit "$1" '.units[$unit].text' <<<"$out" >"$unit"
        systemd-analyze security --offline=true --no-pager "$unit" | sed -nE 's/.*Overall exposure level for [^:]*: ([0-9]+)\.([0-9]).*/\1\2/p'
    }
    exposed_at_most() { # LIMIT UNIT
        local tenths; tenths=$(exposure "$2")
        echo "      $2: $((10#$tenths / 10)).$((10#$tenths % 10)) (at most $(($1 / 10)).$(($1 % 10)))"
        ((10#$tenths <= $1))
    }
    for unit in waggle-secrets waggle-secrets-data one-key; do
        check "$unit is no more exposed than it must be" exposed_at_most 20 "$unit"
    done
fi

section "two host keys, while one replaces the other"
node '{ services.openssh.enable = true; services.openssh.hostKeys = [ { type = "ed25519"; path = "/etc/ssh/new"; } { type = "ed25519"; path = "/etc/ssh/old"; } ]; }'
check "secrets sealed for the old one are still opened" satisfies '.oldIdentityFiles == ["/etc/ssh/old"]'

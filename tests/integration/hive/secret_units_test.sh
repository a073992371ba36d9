#!/usr/bin/env bash
# nixos-module/keys.nix: the units, activation snippets and settings that a node with secrets gets.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"

# Evaluates node a with MODULE: $out has its units by name, its activation snippets and the agent's settings.
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
    check "the node evaluates" succeeds
}
# Succeeds if activation snippet A runs before B.
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
check "the node has the unit waggle-secrets nevertheless" satisfies '.units | keys == ["waggle-secrets"]'
check "sysinit.target wants that unit" satisfies '.units["waggle-secrets"].wantedBy == ["sysinit.target"]'
for line in 'Type=oneshot' 'DefaultDependencies=false' 'RemainAfterExit=true' 'LimitCORE=0' 'X-RestartIfChanged=false' \
    'RequiresMountsFor=/var/lib/waggle-agent' 'Before=(.* )?network-pre.target( .*)?' 'Before=(.* )?systemd-networkd.service( .*)?' \
    'ExecStart=/nix/store/[^ ]*/bin/waggle-agent install-secrets --stage boot --config /nix/store/[^ ]*-waggle-agent.json'; do
    check "$line" unit_has waggle-secrets "$line"
done
check "the node has no activation snippets of Waggle" satisfies '.snippets.waggleSecretOwners == null and .snippets.waggleSecretsForUsers == null'

section "a secret"
node '{ deployment.keys.web = { text = "x"; }; }'
check "the secret has its own unit, which no other unit wants" satisfies '.units["web-key"].wantedBy == []'
for line in 'After=waggle-secrets.service' 'Wants=waggle-secrets.service' 'X-RestartIfChanged=false' 'TimeoutStartSec=infinity' \
    'ExecStart=/nix/store/[^ ]*/bin/waggle-agent await-secret web --config /nix/store/[^ ]*-waggle-agent.json'; do
    check "$line" unit_has web-key "$line"
done
check "the secret gets its owner after users are created" in_order users waggleSecretOwners
check "the secret gets its owner after groups are created" in_order groups waggleSecretOwners

section "a secret that users need"
node '{ deployment.keys.password = { text = "x"; neededForUsers = true; }; }'
check "the secret is installed before users are created" in_order waggleSecretsForUsers users
check "the secret is installed after /run/keys is mounted" in_order specialfs waggleSecretsForUsers

section "units that create users"
has_option() { # SET NAME
    hive <<<'{ a = { }; }'
    ask ".configurations.a.options.$1 ? $2"
    answers true || { echo "SKIP  this nixpkgs has no $1.$2"; return 1; }
}
for maker in services.userborn systemd.sysusers; do
    has_option "${maker%.*}" "${maker#*.}" || continue
    node "{ $maker.enable = true; deployment.keys = { web.text = \"x\"; password = { text = \"x\"; neededForUsers = true; }; }; }"
    check "$maker: secrets that users need are installed before users are created" unit_has waggle-secrets-for-users 'Before=sysinit.target systemd-sysusers.service userborn.service .*'
    check "sysinit.target wants the unit for secrets that users need" satisfies '.units["waggle-secrets-for-users"].wantedBy == ["sysinit.target"]'
    check "all other secrets are installed after users are created" unit_has waggle-secrets 'After=(.* )?systemd-sysusers.service userborn.service( .*)?'
    check "during a switch, secrets get their owners after users are created" unit_has waggle-secrets-for-owners 'After=systemd-sysusers.service userborn.service'
    check "during a switch, secrets get their owners before other units start" unit_has waggle-secrets-for-owners 'Before=sysinit-reactivation.target .*'
    check "sysinit-reactivation.target wants the unit that sets the owners" satisfies '.units["waggle-secrets-for-owners"].wantedBy == ["sysinit-reactivation.target"]'
    check "the unit that sets the owners runs again in each switch" unit_has waggle-secrets-for-owners 'RemainAfterExit=false'
    check "there are no activation snippets, which would run too early" satisfies '.snippets.waggleSecretOwners == null and .snippets.waggleSecretsForUsers == null'
done

section "secrets on file systems that are mounted later"
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
check "the agent's settings list these mounts" satisfies '.secretMounts == ["/data", "/mnt/far-away"]'
check "each mount has a unit for its secrets" satisfies '.units | has("waggle-secrets-data") and has("waggle-secrets-mnt-far\\x2daway")'
check "the mount wants the unit for its secrets" satisfies '.units["waggle-secrets-data"].wantedBy == ["data.mount"]'
check "the unit for its secrets starts after the mount" unit_has waggle-secrets-data 'After=data.mount waggle-secrets.service'
check "the unit of a secret on the mount starts after the unit for its secrets" unit_has one-key 'After=waggle-secrets.service waggle-secrets-data.service'
check "the unit waggle-secrets requires none of these mounts" no unit_has waggle-secrets 'RequiresMountsFor=/(data|mnt).*'

section "privileges of the units"
# The limit of the exposure that systemd-analyze computes, from 0 to 10. The exposure is due to destDir, which can be
# any directory, and to files of other users.
if ! command -v systemd-analyze >/dev/null; then
    echo "SKIP  systemd-analyze is not installed"
else
    exposure() { # UNIT: prints its exposure, in tenths
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
        check "the exposure of $unit is within its limit" exposed_at_most 20 "$unit"
    done
fi

section "two host keys during a key rotation"
node '{ services.openssh.enable = true; services.openssh.hostKeys = [ { type = "ed25519"; path = "/etc/ssh/new"; } { type = "ed25519"; path = "/etc/ssh/old"; } ]; }'
check "the agent can still decrypt secrets for the old key" satisfies '.oldIdentityFiles == ["/etc/ssh/old"]'

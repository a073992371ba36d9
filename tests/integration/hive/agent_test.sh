#!/usr/bin/env bash
# nixos-module/agent.nix: what it refuses, and the unit and the configuration file that it generates.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
cases=$source_dir/tests/integration/hive/agent_cases.nix
nix_enter "$@"

section "refused configurations and their messages"
all=false
if fixture_only "cases in which only the text of our own options differs"; then all=true; fi
hive <<<"(import $cases { all = $all; }).hive"
ask "let cases = import $cases { all = $all; }; in { wrong = cases.wrong hive.configurations; inherit (cases) count; }"
check "all $(jq .count <<<"$out") cases of agent_cases.nix" satisfies '.wrong == []'
ask '.nodes [ "upgrade" ]'
check "a refusal is an evaluation error" fails "Failed assertions:" "- services.waggle-agent: system.autoUpgrade.enable is set"

# MODULE: imports of node a, whose unit is then in $unit and the content of its configuration file in $out.
agent() { # MODULE
    hive <<NIX
{
  meta.name = "bees";
  a = { pkgs, lib, ... }: {
    imports = [ ($1) $machine ];
    services.waggle-agent = {
      enable = true;
      package = pkgs.hello;
      operators = [ "$key op" ];
    };
  };
}
NIX
    ask 'let inherit (hive.configurations.a) config; in {
        unit = config.systemd.units."waggle-agent.service".text;
        socket = (config.systemd.units."waggle-agent.socket" or { text = ""; }).text;
        wantedBy = config.systemd.units."waggle-agent.service".wantedBy;
        file = builtins.head (builtins.filter (drv: builtins.match ".*-waggle-agent.json.drv" drv != null)
            (builtins.attrNames (builtins.getContext config.systemd.units."waggle-agent.service".text)));
        ports = config.networking.firewall.allowedTCPPorts;
        interfaces = builtins.mapAttrs (_: i: i.allowedTCPPorts) config.networking.firewall.interfaces;
        tmpfiles = builtins.filter (rule: builtins.match ".*waggle.*" rule != null) config.systemd.tmpfiles.rules;
        programs = builtins.filter (p: builtins.match ".*-hello.*" p != null) (map toString config.environment.systemPackages);
    }'
    check "the node evaluates with $1" succeeds
    system=$out
    unit=$(jq -r .unit <<<"$out")
    out=$(nix-store --query --binding text "$(jq -r .file <<<"$out")")
}
has() { grep -Fxq -- "$1" <<<"$unit" || { echo "$unit"; return 1; }; }
lacks() { ! grep -q -- "$1" <<<"$unit"; }
starts() { grep -Eq "^$1" <<<"$unit" || { echo "$unit"; return 1; }; }
socket_has() { jq -r .socket <<<"$system" | grep -Fxq -- "$1" || { jq -r .socket <<<"$system"; return 1; }; }
of_system() { jq -e "$1" <<<"$system" >/dev/null || { jq 'del(.unit)' <<<"$system"; return 1; }; }

section "defaults, without OpenSSH"
agent '{ }'
check "the configuration file has the default values" answers '{ "v": 1, "hive": "bees", "node": "a", "system": "'"$(uname -m)"'-linux", "listen": ["::"],
    "port": 9244, "operators": ["'"$key"' op"], "identityFile": "/var/lib/waggle-agent/ssh_host_ed25519_key",
    "generateIdentity": true, "stateDir": "/var/lib/waggle-agent", "keep": 20,
    "settings": {"logLevel": "info", "maxConnections": 32, "maxConnectionsPerAddress": 8, "storeTimeout": 600} }'
check "the unit runs the daemon with the configuration file" starts "ExecStart=/nix/store/[^ ]*-hello[^ ]*/bin/waggle-agent daemon --config /nix/store/[^ ]*-waggle-agent.json$"
check "the unit starts at boot" of_system '.wantedBy == ["multi-user.target"]'
check "the agent's package is in systemPackages, for users at the console" of_system '.programs | length == 1'
for line in Type=notify Restart=always RestartSec=100ms StartLimitIntervalSec=0 DefaultDependencies=false \
    X-RestartIfChanged=false X-StopOnRemoval=false LimitCORE=0 "Wants=network.target waggle-agent.socket" \
    RequiresMountsFor=/var/lib/waggle-agent RequiresMountsFor=/var/lib/waggle-agent/ssh_host_ed25519_key \
    CapabilityBoundingSet= NoNewPrivileges=true ProtectSystem=strict MemoryDenyWriteExecute=true \
    StateDirectory=waggle-agent StateDirectoryMode=0700; do
    check "$line" has "$line"
done
check "the unit requires nothing but those mounts" lacks '^\(Requires\|BindsTo\|Requisite\|PartOf\)='
check "systemd and Nix are in the unit's PATH" starts 'Environment="?PATH=.*-systemd[^:]*/bin:.*-nix[^:]*/bin:'
for line in ListenStream=9244 BindIPv6Only=both FreeBind=true ReusePort=true TriggerLimitIntervalSec=0 \
    DefaultDependencies=false; do
    check "the socket unit has $line" socket_has "$line"
done
check "the firewall is closed, and tmpfiles has no rule for Waggle" of_system '.ports == [] and .interfaces == {} and .tmpfiles == []'

section "with OpenSSH"
agent '{ services.openssh.enable = true; services.openssh.openFirewall = false; }'
check "the host key of OpenSSH is the identity, and the agent generates none" satisfies \
    '.identityFile == "/etc/ssh/ssh_host_ed25519_key" and .generateIdentity == false'
check "the unit requires the mount of that key" has RequiresMountsFor=/etc/ssh/ssh_host_ed25519_key
check "the unit starts after the service that generates that key" starts 'After=.*sshd(-keygen)?\.service'
agent '{ services.openssh.enable = true; services.openssh.hostKeys = [ { type = "rsa"; bits = 4096; path = "/etc/ssh/rsa"; } ]; }'
check "without an Ed25519 host key, the agent generates its own" satisfies \
    '.identityFile == "/var/lib/waggle-agent/ssh_host_ed25519_key" and .generateIdentity == true'
agent '{ services.openssh.enable = true; services.openssh.hostKeys = [ { type = "ed25519"; path = "/persist/key"; } ]; }'
check "an Ed25519 host key at another path is the identity" satisfies '.identityFile == "/persist/key" and .generateIdentity == false'
agent '{ services.waggle-agent.identityFile = "/etc/waggle/key"; }'
check "an explicit identityFile is never generated" satisfies '.identityFile == "/etc/waggle/key" and .generateIdentity == false'

section "other options"
agent '{ services.waggle-agent = { node = "n"; hive = "h"; port = 9300; listen = [ "wg0" "eth1" ]; openFirewall = true;
    settings = { logLevel = "debug"; maxConnections = 5; }; }; }'
check "the configuration file contains the options" satisfies '.node == "n" and .hive == "h" and .port == 9300 and .listen == ["wg0", "eth1"] and
    .settings == {"logLevel": "debug", "maxConnections": 5, "maxConnectionsPerAddress": 8, "storeTimeout": 600}'
check "if the agent listens on interfaces only, there is no socket unit" of_system '.socket == ""'
check "the service does not want a socket unit" has Wants=network.target
check "openFirewall opens the port on those interfaces only" of_system '.interfaces.wg0 == [9300] and .interfaces.eth1 == [9300] and .ports == []'
agent '{ services.waggle-agent = { listen = [ "wg0" "10.0.0.1" ]; openFirewall = true; }; }'
check "openFirewall opens the port on all interfaces if an address is listed" of_system '.ports == [9244] and .interfaces == {}'
check "the socket unit listens on the address" socket_has ListenStream=10.0.0.1:9244
check "the socket unit does not name the interface" of_system '.socket | contains("wg0") | not'
agent '{ services.waggle-agent = { listen = [ "::" "10.0.0.1" "2001:db8::7" ]; port = 9300; }; }'
for line in "ListenStream=[::]:9300" ListenStream=10.0.0.1:9300 "ListenStream=[2001:db8::7]:9300" BindIPv6Only=ipv6-only; do
    check "the socket unit has $line" socket_has "$line"
done
agent '{ services.waggle-agent.stateDir = "/srv/waggle"; }'
check "the unit can write to another state directory" has ReadWritePaths=/srv/waggle
check "tmpfiles creates that state directory" of_system '.tmpfiles == ["d /srv/waggle 0700 root root -"]'
check "the generated key is in that state directory" satisfies '.identityFile == "/srv/waggle/ssh_host_ed25519_key" and .generateIdentity == true'
agent '{ services.waggle-agent.nixPackage = pkgs.hello; }'
check "nixPackage is in the unit's PATH" starts 'Environment="?PATH=.*-systemd[^:]*/bin:.*-hello[^:]*/bin:'

section "health checks and one-time boots"
hive <<'NIX'
{ a = { pkgs, ... }: {
    deployment.healthChecks = {
      cmd = [ { cmd = [ "systemctl" "is-active" "a b" ]; } { cmd = [ "true" ]; description = "nothing"; period = 1; timeout = 2; deadline = 3; } ];
      http = [
        { scheme = "https"; host = "::1"; port = 8443; path = "/health"; insecureSSL = true; headers.Host = "www"; } # morph's
        { url = "http://localhost:81/?x"; status = [ 200 401 ]; }
        { }
      ];
    };
    services.waggle-agent = { enable = true; package = pkgs.hello; bootOnce = pkgs.writeText "once" "x"; };
  };
  none = { pkgs, ... }: { services.waggle-agent = { enable = true; package = pkgs.hello; }; };
  off = { deployment.healthChecks.http = [ { } ]; };
}
NIX
ask 'let
    commands = config: config.system.extraSystemBuilderCmds or config.system.systemBuilderCommands;
    once = config: builtins.filter (file: file == "waggle/boot-once") (map (file: file.target) (builtins.attrValues config.environment.etc));
    checks = config: builtins.match ".*ln -s ([^ ]*-waggle-health-checks.json) [$]out/waggle-health-checks.json\n.*" (commands config);
    inherit (hive.configurations) a none off;
  in {
    none = checks none.config; off = checks off.config; onceNone = once none.config; once = once a.config;
    file = builtins.head (builtins.filter (drv: builtins.match ".*-waggle-health-checks.json.drv" drv != null)
      (builtins.attrNames (builtins.getContext (commands a.config))));
  }'
check "a system without health checks or bootOnce has no files for them" satisfies '.none == null and .onceNone == []'
check "a system without the agent has no file of health checks" satisfies '.off == null'
check "bootOnce is installed as /etc/waggle/boot-once" satisfies '.once == ["waggle/boot-once"]'
out=$(nix-store --query --binding text "$(jq -r .file <<<"$out")")
check "the health checks are a JSON file of the system" answers '{ "v": 1,
  "cmd": [ { "description": "", "period": 2, "timeout": 5, "deadline": 60, "cmd": ["systemctl", "is-active", "a b"] },
           { "description": "nothing", "period": 1, "timeout": 2, "deadline": 3, "cmd": ["true"] } ],
  "http": [ { "description": "", "period": 2, "timeout": 5, "deadline": 60, "url": "https://[::1]:8443/health", "insecureSSL": true,
              "headers": { "Host": "www" }, "status": [] },
            { "description": "", "period": 2, "timeout": 5, "deadline": 60, "url": "http://localhost:81/?x", "insecureSSL": false,
              "headers": { }, "status": [200, 401] },
            { "description": "", "period": 2, "timeout": 5, "deadline": 60, "url": "http://localhost/", "insecureSSL": false,
              "headers": { }, "status": [] } ] }'
if fixture_only "a network that morph evaluates"; then
    cat >network.nix <<NIX
{
  network.pkgs = import <nixpkgs> { };
  a = { pkgs, ... }: {
    imports = [ $modules/agent.nix ];
    services.waggle-agent = { enable = true; package = pkgs.hello; operators = [ "$key" ]; };
    deployment.healthChecks = {
      cmd = [ { description = "c"; cmd = [ "true" ]; } ];
      http = [ { description = "h"; port = 81; } ];
    };
  };
}
NIX
    ask "(import $source_dir/tests/hives/morph/eval-machines.nix (import $work/network.nix)).nodes.a.config.system.build.toplevel.drvPath"
    check "morph evaluates a machine with health checks and the agent" satisfies 'endswith(".drv")'
    out=$(nix-store --query --binding text "$(nix-store --query --references "$(jq -r . <<<"$out")" | grep -- -waggle-health-checks.json.drv)")
    check "morph's health checks get Waggle's defaults" answers '{ "v": 1,
      "cmd": [ { "description": "c", "period": 2, "timeout": 5, "deadline": 60, "cmd": ["true"] } ],
      "http": [ { "description": "h", "period": 2, "timeout": 5, "deadline": 60, "url": "http://localhost:81/", "insecureSSL": false,
                  "headers": { }, "status": [] } ] }'
fi
for wrong in 'cmd = [ { cmd = "true"; } ]' 'http = [ { scheme = "ftp"; } ]' 'http = [ { status = [ 7 ]; } ]'; do
    hive <<<"{ a.deployment.healthChecks.$wrong; }"
    ask 'hive.configurations.a.config.deployment.healthChecks'
    check "$wrong is refused" fails "deployment.healthChecks"
done

section "invalid options"
for wrong in 'settings.nope = 1' 'settings.logLevel = "loud"' 'port = 70000' 'operators = "one"' 'nope = true'; do
    hive <<<"{ a = { services.waggle-agent.$wrong; services.waggle-agent.enable = true; }; }"
    ask '{ inherit (hive.configurations.a.config.services.waggle-agent) port operators settings; }'
    check "$wrong is refused" fails "services.waggle-agent.${wrong%% =*}" "hive.nix (node a)"
done
hive <<<'{ a = { services.waggle-agent.enable = true; }; }'
ask 'toString hive.configurations.a.config.services.waggle-agent.package'
check "an agent without a package is refused" fails "services.waggle-agent.package is not set"

section "outside a hive"
cat >plain.nix <<NIX
{ module ? { }, specialArgs ? { } }:
let
  evaluated = import <nixpkgs/nixos/lib/eval-config.nix> {
    modules = [ module $modules/agent.nix $modules/deployment.nix $modules/colmena-options.nix { networking.hostName = "plain"; services.waggle-agent.enable = true; } ];
    inherit specialArgs;
  };
in { inherit (evaluated.config.services.waggle-agent) node hive; inherit (evaluated.config.deployment) targetHost; }
NIX
ask "import $work/plain.nix { }"
check "node and targetHost default to the host name" answers '{ "node": "plain", "hive": "hive", "targetHost": "plain" }'
ask "import $work/plain.nix { specialArgs.name = \"special\"; }"
check "specialArgs.name takes precedence over the host name, as in Colmena's hives" answers '{ "node": "special", "hive": "hive", "targetHost": "special" }'
ask "import $work/plain.nix { module._module.args.name = \"argument\"; }"
check "_module.args.name takes precedence over the host name as well" answers '{ "node": "argument", "hive": "hive", "targetHost": "argument" }'

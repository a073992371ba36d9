# Machines of every kind that today's NixOS knows, each with an agent: what must evaluate, what must be refused, and what must be in
# some of the systems. machines_test.sh evaluates those that the tree at hand knows.
#
#   NAME.module    the machine, besides machine.nix and the agent
#   NAME.since     the first NixOS that has these options (20.09)
#   NAME.until     the last one (none)
#   NAME.refused   part of the assertion by which Waggle must refuse it
#   NAME.holds     given its configuration, by sentence: what must be true
{ lib }:
let
  inherit (lib) elem hasInfix hasPrefix;

  keys = {
    services.nginx.enable = true;
    deployment.keys.password.text = "x";
    deployment.keys.tls = { text = "y"; destDir = "/var/lib/tls"; user = "nginx"; group = "nginx"; };
  };
  neededForUsers = { deployment.keys.hash = { text = "x"; neededForUsers = true; }; };
  # What a machine without mutable users needs, so that somebody can log in.
  immutableUsers = { users.mutableUsers = false; users.users.root.initialHashedPassword = "x"; };
  systemdInitrd = { boot.initrd.systemd.enable = true; };
  persist = { fileSystems."/persist" = { device = "/dev/sdb"; fsType = "ext4"; neededForBoot = true; }; };

  unit = config: name: config.systemd.units."${name}.service".text;
  # Whether the unit has a setting, NAME=… with the word among its words.
  has = config: name: setting: word:
    lib.any (line: hasPrefix "${setting}=" line && elem word (lib.splitString " " (lib.removePrefix "${setting}=" line)))
      (lib.splitString "\n" (unit config name));
  # Whether one snippet of the activation script comes before another.
  inOrder = config: first: second:
    let
      after = name: text: lib.splitString "#### Activation script snippet ${name}:" text;
      tail = after first config.system.activationScripts.script;
    in
    builtins.length tail == 2 && builtins.length (after second (lib.last tail)) == 2;
  # Where a unit makes users and not a snippet.
  byUnit = config: {
    "what users need comes before the unit that makes them" =
      has config "waggle-secrets-for-users" "Before" "userborn.service" && has config "waggle-secrets-for-users" "Before" "systemd-sysusers.service";
    "other secrets come after it" = has config "waggle-secrets" "After" "userborn.service";
    "no snippet of ours is left" = !(hasInfix "install-secrets" config.system.activationScripts.script);
  };
in
{
  plain.module = { };
  plain.holds = config: {
    "the agent survives emergency mode" = has config "waggle-agent" "DefaultDependencies" "false";
    "systemd never gives up on it" = has config "waggle-agent" "StartLimitIntervalSec" "0";
    "nor on the units of secrets" = has config "waggle-secrets" "StartLimitIntervalSec" "0";
  };

  # Platforms
  host-platform = { since = "22.11"; module.nixpkgs.hostPlatform = "x86_64-linux"; };
  foreign-platform = {
    since = "22.11";
    module = { nixpkgs.hostPlatform = "aarch64-linux"; boot.loader.grub.enable = false; boot.loader.generic-extlinux-compatible.enable = true; };
    holds = config: { "the configuration names the platform" = config.nixpkgs.hostPlatform.system == "aarch64-linux"; };
  };
  container.module = { boot.isContainer = true; boot.loader.grub.enable = lib.mkForce false; };

  # Booting
  systemd-boot.module = { boot.loader.grub.enable = false; boot.loader.systemd-boot.enable = true; boot.loader.efi.canTouchEfiVariables = true; };
  systemd-initrd = { since = "23.11"; module.imports = [ keys systemdInitrd ]; };
  boot-once.module = { pkgs, ... }: { services.waggle-agent.bootOnce = pkgs.writeScript "boot-once" "exit 1"; };

  # Secrets
  keys.module = keys;
  keys.holds = config: {
    "a secret is handed over when its owner is made" = inOrder config "users" "waggleSecretOwners";
    "the secrets of no late disk have a unit" = config.services.waggle-agent.secretMounts == [ ];
  };
  needed-for-users.module = neededForUsers;
  needed-for-users.holds = config: {
    "it is in place before users are made" = inOrder config "waggleSecretsForUsers" "users";
    "the snippet that makes users is NixOS's own" = hasInfix "update-users-groups" config.system.activationScripts.script;
  };
  late-mount.module = {
    fileSystems."/srv/da-ta" = { device = "/dev/sdb1"; fsType = "xfs"; };
    deployment.keys.password = { text = "x"; destDir = "/srv/da-ta/k"; };
  };
  late-mount.holds = config: {
    "a unit brings them when the disk comes" = has config "waggle-secrets-srv-da\\x2dta" "After" "srv-da\\x2dta.mount";
  };
  unknown-user = { module.deployment.keys.password = { text = "x"; user = "nobody2"; }; refused = "deployment.keys.password: user is \"nobody2\""; };
  # What Colmena's evaluator adds to a hive with secrets, which then deploys the same node.
  beside-colmena.module.imports = [ keys ../../hives/colmena/key-units.nix ];
  beside-colmena.holds = config: { "Colmena's unit of a secret is as Colmena made it" = has config "password-key" "Restart" "always"; };

  # Users and /etc
  userborn = { since = "25.05"; module.imports = [ keys neededForUsers { services.userborn.enable = true; } ]; holds = byUnit; };
  sysusers = {
    since = "24.05";
    module.imports = [ keys neededForUsers systemdInitrd immutableUsers { system.etc.overlay.enable = true; system.etc.overlay.mutable = false; systemd.sysusers.enable = true; } ];
    holds = byUnit;
  };
  etc-overlay = { since = "24.05"; module.imports = [ keys systemdInitrd { system.etc.overlay.enable = true; } ]; };
  etc-immutable = {
    since = "25.05";
    module.imports = [ keys neededForUsers systemdInitrd immutableUsers { system.etc.overlay.enable = true; system.etc.overlay.mutable = false; services.userborn.enable = true; } ];
    holds = byUnit;
  };

  # Network
  networkd.module = { networking.useNetworkd = true; networking.useDHCP = false; };
  no-firewall.module.networking.firewall.enable = false;
  nftables = { since = "23.05"; module.networking.nftables.enable = true; };
  interfaces.module.services.waggle-agent.listen = [ "wg0" "eth0" ];
  interfaces.holds = config: {
    "the port is open on these alone" = config.networking.firewall.interfaces.wg0.allowedTCPPorts == [ 9244 ] && !(elem 9244 config.networking.firewall.allowedTCPPorts);
  };
  nftables-interfaces = { since = "23.05"; module = { networking.nftables.enable = true; services.waggle-agent.listen = [ "wg0" ]; }; };
  ssh-socket.module = { services.openssh.startWhenNeeded = true; deployment.keys.password.text = "x"; };
  ssh-keygen-unit.module.systemd.services.sshd-keygen = { wantedBy = [ "multi-user.target" ]; script = "true"; };
  ssh-keygen-unit.holds = config: { "the agent waits for the unit that makes host keys" = has config "waggle-agent" "After" "sshd-keygen.service"; };

  # Disks
  persist.module = { imports = [ persist ]; services.waggle-agent.stateDir = "/persist/waggle-agent"; };
  tmpfs-root = { module.fileSystems."/" = lib.mkForce { device = "none"; fsType = "tmpfs"; }; refused = "a tmpfs that a reboot empties"; };

  # Switching
  specialisation.module = {
    imports = [ keys ];
    specialisation.big.configuration = { environment.etc.big.text = "b"; deployment.keys.extra.text = "z"; };
    deployment.specialisation = "big";
  };
  specialisation-of-its-own = {
    since = "22.11";
    module.specialisation.big = { inheritParentConfig = false; configuration = { nixpkgs.hostPlatform = "x86_64-linux"; imports = [ ../../hives/cases/machine.nix ]; }; };
  };
  inhibitors = { since = "25.05"; module.system.switch.inhibitors.dbus = "broker"; };
  no-switch = { since = "24.05"; module.system.switch.enable = false; refused = "system.switch.enable is false"; };
  auto-upgrade = { module.system.autoUpgrade.enable = true; refused = "system.autoUpgrade.enable is set"; };
  no-nix = { since = "22.05"; module.nix.enable = false; };
  keep-all.module.services.waggle-agent.keep = null;
}

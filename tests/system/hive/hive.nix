# The hive of the system tests: its nodes and what they share come from fleet.json, which fleet.py writes; what a single
# test wants of a node is a module in changes/NAME.nix.
let
  fleet = builtins.fromJSON (builtins.readFile ./fleet.json);

  node = name: { address, hostKey ? null, ... }: {
    imports = if builtins.pathExists (./changes + "/${name}.nix") then [ (./changes + "/${name}.nix") ] else [ ];
    deployment = {
      targetHost = address;
      tags = [ "test" ];
      agent.hostKey = hostKey;
    };
  };
in
{
  meta = {
    name = "test";
    nixpkgs = <nixpkgs>;
  };

  defaults = { lib, name, pkgs, ... }: {
    networking.hostName = name;
    fileSystems."/".device = "/dev/disk/by-label/root";
    boot.loader.grub.device = "nodev";
    services.openssh = {
      enable = true;
      # Making an RSA key, too, takes seconds.
      hostKeys = lib.mkDefault [ { type = "ed25519"; path = "/etc/ssh/ssh_host_ed25519_key"; } ];
    };
    # Looking for leaks at the end takes ptrace, which the agent's sandbox does not have.
    systemd.services.waggle-agent.environment = lib.optionalAttrs (fleet.sanitized or false) { ASAN_OPTIONS = "detect_leaks=0"; };
    services.waggle-agent = {
      enable = true;
      package = builtins.storePath fleet.agent;
      operators = fleet.operators;
      # The nodes' stand-in for a boot loader boots what this file names, once.
      bootOnce = pkgs.writeShellScript "boot-once" ''
        PATH=/usr/bin:/bin
        case $1 in
          set) echo "$2" > /boot/loader/oneshot.new && mv /boot/loader/oneshot.new /boot/loader/oneshot ;;
          forget) rm -f /boot/loader/oneshot ;;
          *) exit 2 ;;
        esac
      '';
    };
  };
} // builtins.mapAttrs node fleet.nodes

# The hive of the system tests: its nodes and what they share come from fleet.json, which fleet.sh writes; what a single
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

  defaults = { name, ... }: {
    networking.hostName = name;
    fileSystems."/".device = "/dev/disk/by-label/root";
    boot.loader.grub.device = "nodev";
    services.openssh.enable = true;
    services.waggle-agent = {
      enable = true;
      package = builtins.storePath fleet.agent;
      operators = fleet.operators;
    };
  };
} // builtins.mapAttrs node fleet.nodes

{
  description = "A server and a small board, deployed with Waggle";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    waggle.url = "git+file:///path/to/waggle"; # your checkout of Waggle
    waggle.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs = { nixpkgs, waggle, ... }:
    let
      node = system: machine: nixpkgs.lib.nixosSystem {
        inherit system;
        modules = [
          waggle.nixosModules.default # the options of the agent and of the deployment
          waggle.nixosModules.colmenaOptions # deployment.targetHost, tags, keys and the like
          ./common.nix
          machine
        ];
      };
    in
    {
      # Each configuration is a node.
      nixosConfigurations = {
        attic = node "x86_64-linux" ./attic.nix;
        board = node "aarch64-linux" ./board.nix;
      };
    };
}

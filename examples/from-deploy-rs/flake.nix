# A flake for deploy-rs. The lines for Waggle are marked; everything else is as it was.
{
  description = "Deployment of a web server";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    deploy-rs.url = "github:serokell/deploy-rs";
    waggle.url = "git+file:///path/to/waggle"; # for Waggle: your checkout of it
    waggle.inputs.nixpkgs.follows = "nixpkgs"; # for Waggle
  };

  outputs = { self, nixpkgs, deploy-rs, waggle }: {
    nixosConfigurations.web = nixpkgs.lib.nixosSystem {
      system = "x86_64-linux";
      modules = [
        ./configuration.nix
        waggle.nixosModules.default # for Waggle
        ./agent.nix # for Waggle
      ];
    };

    deploy.nodes.web = {
      hostname = "web.example.org";
      sshUser = "root";
      profiles.system = {
        user = "root";
        path = deploy-rs.lib.x86_64-linux.activate.nixos self.nixosConfigurations.web;
      };
    };

    checks = builtins.mapAttrs (_: lib: lib.deployChecks self.deploy) deploy-rs.lib;
  };
}

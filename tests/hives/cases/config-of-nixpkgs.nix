{
  meta.nixpkgs = import <nixpkgs> { config.allowUnfree = true; };
  host-a = { pkgs, ... }: { deployment.tags = [ (builtins.toJSON (pkgs.config.allowUnfree or null)) ]; };
}

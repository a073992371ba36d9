{
  host-a = { pkgs, ... }: { nixpkgs.config.allowUnfree = true; deployment.tags = [ (builtins.toJSON (pkgs.config.allowUnfree or null)) ]; };
}

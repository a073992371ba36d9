# The node has the last word, in both directions.
{
  meta.nixpkgs = import <nixpkgs> { config.allowUnfree = true; };
  meta.nodeNixpkgs.host-b = import <nixpkgs> { config.allowUnfree = false; };
  defaults = { pkgs, ... }: { deployment.tags = [ (builtins.toJSON (pkgs.config.allowUnfree or null)) ]; };
  host-a.nixpkgs.config.allowUnfree = false;
  host-b.nixpkgs.config.allowUnfree = true;
}

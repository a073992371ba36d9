# What the node does not speak of stays as the hive's nixpkgs has it.
{
  meta.nixpkgs = import <nixpkgs> { config.allowUnfree = true; };
  host-a = { pkgs, ... }: {
    nixpkgs.config.allowBroken = true;
    deployment.tags = map builtins.toJSON [ (pkgs.config.allowUnfree or null) (pkgs.config.allowBroken or null) ];
  };
}

# As in morph's and NixOps' files.
{
  network = { description = "from elsewhere"; pkgs = import <nixpkgs> { system = "aarch64-linux"; }; enableRollback = true; };
  host-a = { pkgs, ... }: { deployment.tags = [ pkgs.stdenv.hostPlatform.system ]; };
}

# A node may be another machine than its nixpkgs.
{
  meta.nixpkgs = import <nixpkgs> { system = "x86_64-linux"; };
  host-a = { pkgs, ... }: { nixpkgs.system = "aarch64-linux"; deployment.tags = [ pkgs.stdenv.hostPlatform.system ]; };
}

{
  meta.nixpkgs = import <nixpkgs> { system = "aarch64-linux"; };
  host-a = { pkgs, ... }: { deployment.tags = [ pkgs.stdenv.hostPlatform.system ]; };
}

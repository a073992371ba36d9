# The attributes of package.nix, with the names of its inputs in place of packages.
let
  package = import ../../package.nix;
  platform.system = builtins.currentSystem;
in
package (builtins.mapAttrs (name: _: name) (builtins.functionArgs package) // {
  lib = import ../hives/nixpkgs/lib;
  stdenv = {
    mkDerivation = attributes: attributes;
    buildPlatform = platform;
    hostPlatform = platform;
  };
})

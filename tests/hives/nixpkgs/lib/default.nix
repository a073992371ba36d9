# The few functions of nixpkgs' lib that hives, Waggle's modules and this fixture use, under the same names.
let
  lib = import ./basics.nix
    // import ./options.nix { inherit lib; }
    // import ./modules.nix { inherit lib; }
    // {
      types = import ./types.nix { inherit lib; };
      inherit (lib.types) mkOptionType;
      version = "24.05.fixture";
      versionAtLeast = a: b: builtins.compareVersions a b >= 0;
      versionOlder = a: b: builtins.compareVersions a b < 0;
      licenses.mit = { spdxId = "MIT"; };
      platforms.linux = [ "x86_64-linux" "aarch64-linux" ];
      trivial.release = "24.05";
      # nixpkgs has them under these names, too.
      lists = lib;
      strings = lib;
      attrsets = lib;
      options = lib;
      modules = lib;
    };
in lib

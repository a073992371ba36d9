{
  description = "The fixture nixpkgs of Waggle's tests";
  outputs = { self }: {
    lib = import ./lib // {
      nixosSystem = args: import ./nixos/lib/eval-config.nix ({ system = null; } // args);
    };
    legacyPackages = builtins.listToAttrs (map
      (system: { name = system; value = import ./. { inherit system; }; })
      [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ]);
  };
}

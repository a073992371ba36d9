# Waggle's stand-in for Colmena's makeHive, for tests: what it takes, declares and gives, as Colmena documents it.
rawHive:
let
  inherit (builtins) attrNames isList listToAttrs mapAttrs removeAttrs;

  meta = { name = "hive"; description = "A Colmena Hive"; machinesFile = null; allowApplyAll = true; nodeNixpkgs = { }; specialArgs = { }; nodeSpecialArgs = { }; }
    // rawHive.meta;
  names = attrNames (removeAttrs rawHive [ "meta" "defaults" ]);
  toList = value: if isList value then value else [ value ];

  evaluate = name:
    let pkgs = meta.nodeNixpkgs.${name} or meta.nixpkgs; in
    import (pkgs.path + "/nixos/lib/eval-config.nix") {
      inherit (pkgs.stdenv.hostPlatform) system;
      specialArgs = { inherit name nodes; } // meta.specialArgs // meta.nodeSpecialArgs.${name} or { };
      modules = [ ./options.nix ./key-units.nix ] ++ toList (rawHive.defaults or { }) ++ toList rawHive.${name};
    };

  nodes = listToAttrs (map (name: { inherit name; value = evaluate name; }) names);
  toplevel = mapAttrs (_: node: node.config.system.build.toplevel) nodes;
  deploymentConfig = mapAttrs (_: node: node.config.deployment) nodes;
  some = wanted: set: listToAttrs (map (name: { inherit name; value = set.${name}; }) wanted);
in
{
  __schema = "v0.5";
  inherit nodes toplevel deploymentConfig;
  deploymentConfigSelected = wanted: some wanted deploymentConfig;
  evalSelected = wanted: some wanted toplevel;
  evalSelectedDrvPaths = wanted: mapAttrs (_: system: system.drvPath) (some wanted toplevel);
  metaConfig = { inherit (meta) name description machinesFile allowApplyAll; };
  introspect = function: function { pkgs = meta.nixpkgs; inherit (meta.nixpkgs) lib; inherit nodes; };
}

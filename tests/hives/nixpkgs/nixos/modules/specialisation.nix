# Variants of a system beside it, as specialisation/NAME of its toplevel.
{ lib, config, extendModules, ... }: {
  options.specialisation = lib.mkOption {
    default = { };
    type = lib.types.attrsOf (lib.types.submodule {
      options.configuration = lib.mkOption { type = lib.types.unspecified; default = { }; };
    });
  };
  config.system.extraSystemBuilderCmds = lib.mkIf (config.specialisation != { }) (''
    mkdir $out/specialisation
  '' + lib.concatStrings (lib.mapAttrsToList
    (name: special: ''
      ln -s ${(extendModules {
        modules = [ special.configuration { specialisation = lib.mkForce { }; } ];
      }).config.system.build.toplevel} $out/specialisation/${name}
    '')
    config.specialisation));
}

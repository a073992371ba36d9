{ lib, ... }:
let
  inherit (lib) mkOption types;
  user = { name, ... }: {
    options = {
      name = mkOption { type = types.str; default = name; };
      uid = mkOption { type = types.nullOr types.int; default = null; };
      group = mkOption { type = types.str; default = ""; };
      isNormalUser = mkOption { type = types.bool; default = false; };
      isSystemUser = mkOption { type = types.bool; default = false; };
      openssh.authorizedKeys.keys = mkOption { type = types.listOf types.str; default = [ ]; };
    };
  };
  group = { name, ... }: {
    options = {
      name = mkOption { type = types.str; default = name; };
      gid = mkOption { type = types.nullOr types.int; default = null; };
      members = mkOption { type = types.listOf types.str; default = [ ]; };
    };
  };
in {
  options.users = {
    mutableUsers = mkOption { type = types.bool; default = true; };
    users = mkOption { type = types.attrsOf (types.submodule user); default = { }; };
    groups = mkOption { type = types.attrsOf (types.submodule group); default = { }; };
  };
}

# Files in /etc, the programs in /run/current-system/sw, and a few options that configurations commonly set.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  file = { name, config, ... }: {
    options = {
      enable = mkOption { type = types.bool; default = true; };
      target = mkOption { type = types.str; default = name; };
      text = mkOption { type = types.nullOr types.lines; default = null; };
      source = mkOption { type = types.path; };
    };
    config.source = lib.mkIf (config.text != null)
      (lib.mkDefault (pkgs.writeText "etc-${lib.replaceStrings [ "/" " " "@" ] [ "-" "-" "-" ] name}" config.text));
  };
in {
  options = {
    environment.etc = mkOption { type = types.attrsOf (types.submodule file); default = { }; };
    environment.systemPackages = mkOption { type = types.listOf types.package; default = [ ]; };
    environment.variables = mkOption { type = types.attrsOf types.str; default = { }; };
    nix.package = mkOption { type = types.package; default = pkgs.nix; };
    nix.settings = mkOption { type = types.attrsOf types.unspecified; default = { }; };
    nix.extraOptions = mkOption { type = types.lines; default = ""; };
    time.timeZone = mkOption { type = types.nullOr types.str; default = null; };
    i18n.defaultLocale = mkOption { type = types.str; default = "en_US.UTF-8"; };
    documentation.enable = mkOption { type = types.bool; default = true; };
  };
  config.environment.etc.hostname = lib.mkIf (config.networking.hostName != "") { text = config.networking.hostName + "\n"; };
}

{ config, lib, ... }:
let cfg = config.nixpkgs; in
{
  options.nixpkgs = {
    system = lib.mkOption { type = lib.types.str; };
    hostPlatform = lib.mkOption { type = lib.types.either lib.types.str lib.types.attrs; default = { inherit (cfg) system; }; };
    localSystem = lib.mkOption { type = lib.types.attrs; default = { inherit (cfg) system; }; };
    overlays = lib.mkOption { type = lib.types.listOf lib.types.raw; default = [ ]; };
    config = lib.mkOption { type = lib.types.attrs; default = { }; };
    pkgs = lib.mkOption { type = lib.types.nullOr lib.types.raw; default = null; };
  };
  config._module.args.pkgs =
    if cfg.pkgs != null && cfg.overlays == [ ] then cfg.pkgs
    else import ../.. {
      system = cfg.hostPlatform.system or (if lib.isString cfg.hostPlatform then cfg.hostPlatform else cfg.localSystem.system);
      inherit (cfg) overlays config;
    };
}

# Services that ordinary configurations enable: declared so that these evaluate, with the names of their units and users.
{ config, lib, ... }:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.services;
  free = mkOption { type = types.attrsOf types.unspecified; default = { }; };
in {
  options.services = {
    nginx = { enable = lib.mkEnableOption "nginx"; virtualHosts = free; };
    nfs.server = {
      enable = lib.mkEnableOption "the NFS server";
      exports = mkOption { type = types.lines; default = ""; };
      createMountPoints = mkOption { type = types.bool; default = false; };
    };
    restic.backups = free;
  };
  config = {
    users.users = mkIf cfg.nginx.enable { nginx.group = "nginx"; };
    users.groups = mkIf cfg.nginx.enable { nginx = { }; };
    systemd.services =
      lib.genAttrs (lib.optional cfg.nginx.enable "nginx" ++ lib.optional cfg.nfs.server.enable "nfs-server"
        ++ map (name: "restic-backups-${name}") (lib.attrNames cfg.restic.backups))
      (_: { script = "exec sleep infinity"; });
  };
}

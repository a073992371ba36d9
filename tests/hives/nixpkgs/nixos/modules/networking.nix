{ lib, ... }:
let
  ports = lib.mkOption { type = lib.types.listOf lib.types.port; default = [ ]; };
in {
  options.networking = {
    hostName = lib.mkOption { type = lib.types.str; default = "nixos"; };
    domain = lib.mkOption { type = lib.types.nullOr lib.types.str; default = null; };
    firewall.enable = lib.mkOption { type = lib.types.bool; default = true; };
    firewall.allowedTCPPorts = ports;
    firewall.allowedUDPPorts = ports;
    firewall.interfaces = lib.mkOption {
      type = lib.types.attrsOf (lib.types.submodule { options = { allowedTCPPorts = ports; allowedUDPPorts = ports; }; });
      default = { };
    };
  };
}

# A test node has no sshd of its own; its host keys are made as NixOS makes them, before anything that needs them.
{ config, lib, pkgs, ... }:
let
  cfg = config.services.openssh;
in {
  options.services.openssh = {
    enable = lib.mkEnableOption "the OpenSSH server";
    openFirewall = lib.mkOption { type = lib.types.bool; default = true; };
    ports = lib.mkOption { type = lib.types.listOf lib.types.port; default = [ 22 ]; };
    hostKeys = lib.mkOption {
      type = lib.types.listOf lib.types.attrs;
      default = [
        { type = "rsa"; bits = 4096; path = "/etc/ssh/ssh_host_rsa_key"; }
        { type = "ed25519"; path = "/etc/ssh/ssh_host_ed25519_key"; }
      ];
    };
  };
  config = lib.mkIf cfg.enable {
    systemd.services.sshd-keygen = {
      description = "SSH Host Keys Generation";
      wantedBy = [ "multi-user.target" ];
      unitConfig.ConditionPathExists = "/usr/bin/ssh-keygen";
      serviceConfig = { Type = "oneshot"; RemainAfterExit = true; };
      script = lib.concatMapStrings (key: ''
        [ -s ${key.path} ] || ssh-keygen -q -t ${key.type} ${lib.optionalString (key ? bits) "-b ${toString key.bits}"} -f ${key.path} -N ""
      '') cfg.hostKeys;
    };
  };
}

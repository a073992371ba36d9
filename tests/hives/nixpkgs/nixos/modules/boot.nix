# Boot loader, kernel and file systems: declared so that ordinary configurations evaluate; a test node's
# boot loader is the stand-in that toplevel.nix describes.
{ config, lib, name ? null, ... }:
let
  fileSystem = { name, ... }: {
    options = {
      mountPoint = lib.mkOption { type = lib.types.str; default = name; };
      device = lib.mkOption { type = lib.types.nullOr lib.types.str; default = null; };
      fsType = lib.mkOption { type = lib.types.str; default = "auto"; };
      options = lib.mkOption { type = lib.types.listOf lib.types.str; default = [ "defaults" ]; };
      neededForBoot = lib.mkOption { type = lib.types.bool; default = false; };
    };
  };
in {
  # /run/keys as NixOS makes it: in memory that is never swapped, for root and the group keys.
  config.system.activationScripts.specialfs = ''
    mountpoint -q /run/keys || {
      mkdir -p /run/keys
      mount -t ramfs -o nosuid,nodev,mode=750 ramfs /run/keys
      chgrp 96 /run/keys
    }
  '';
  options = {
    fileSystems = lib.mkOption { type = lib.types.attrsOf (lib.types.submodule fileSystem); default = { }; };
    boot = {
      isContainer = lib.mkOption { type = lib.types.bool; default = false; };
      tmpOnTmpfs = lib.mkOption { type = lib.types.bool; default = false; };
      kernelParams = lib.mkOption { type = lib.types.listOf lib.types.str; default = [ ]; };
      loader.grub.enable = lib.mkOption { type = lib.types.bool; default = true; };
      loader.grub.device = lib.mkOption { type = lib.types.str; default = ""; };
      loader.grub.devices = lib.mkOption { type = lib.types.listOf lib.types.str; default = [ ]; };
      loader.generic-extlinux-compatible.enable = lib.mkOption { type = lib.types.bool; default = false; };
      loader.systemd-boot.enable = lib.mkOption { type = lib.types.bool; default = false; };
    };
    system.fixture.kernelMegabytes = lib.mkOption { type = lib.types.int; default = 0; description = "How large the stand-in for the kernel is."; };
    system.fixture.kernelVersion = lib.mkOption {
      type = lib.types.str;
      default = "6.1.0";
      description = "What the stand-ins for kernel, initrd and modules say; another value means that a reboot is needed.";
    };
  };
}

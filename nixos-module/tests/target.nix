# The machine that is deployed to, a virtual machine with its own boot loader, both as the test starts it and as the
# hive describes it.
{ lib, modulesPath, pkgs, ... }: {
  imports = [ (modulesPath + "/virtualisation/qemu-vm.nix") (modulesPath + "/testing/test-instrumentation.nix") ];

  virtualisation = { useBootLoader = true; useEFIBoot = true; writableStore = true; memorySize = 1024; };
  boot.loader.systemd-boot.enable = true;
  boot.loader.timeout = 0;

  networking.hostName = "target";
  networking.firewall.enable = true;
  # The address that the test's network gives to the second machine, in the order of their names. The hive does not know
  # about that network.
  networking.interfaces.eth1.ipv4.addresses = lib.mkForce [ { address = "192.168.1.2"; prefixLength = 24; } ];
  services.openssh = { enable = true; hostKeys = [ { type = "ed25519"; path = "/etc/ssh/ssh_host_ed25519_key"; } ]; };
  environment.etc."ssh/ssh_host_ed25519_key" = { source = ./keys/target; mode = "0600"; };
  users.users.web = { isSystemUser = true; group = "web"; extraGroups = [ "keys" ]; };
  users.groups.web = { };

  services.waggle-agent = {
    enable = true;
    hive = "test";
    node = "target";
    openFirewall = true;
    package = lib.mkDefault (pkgs.callPackage ../../package.nix { }).agent;
    operators = [ (builtins.readFile ./keys/operator.pub) ];
  };

  nix.settings.substituters = lib.mkForce [ ];
  documentation.enable = false;
  system.stateVersion = lib.trivial.release;
}

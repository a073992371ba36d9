# The system as one store path, with the parts of a NixOS toplevel that deployment tools look at. It runs on a Debian
# node: `activate` links its files and units into /etc, `bin/switch-to-configuration` does so on a running node.
#
# The boot loader is a stand-in: `switch-to-configuration boot` records the system that the profile names in
# /boot/loader/default, as a real one would in its menu, and copies kernels to /boot/kernels. An early unit of the node reads it and runs `activate --boot` of
# that system.
{ config, lib, pkgs, ... }:
let
  inherit (lib) concatMapStrings mkOption types;
  cfg = config.system;

  snippet = types.submodule {
    options = {
      text = mkOption { type = types.lines; default = ""; };
      deps = mkOption { type = types.listOf types.str; default = [ ]; };
      supportsDryActivation = mkOption { type = types.bool; default = false; };
    };
  };

  # Snippets in an order in which those named in `deps` come first.
  orderByDeps = snippets:
    let
      visit = path: done: name:
        if lib.elem name done then done
        else if lib.elem name path then throw "activation scripts depend on each other: ${toString (path ++ [ name ])}"
        else if !(snippets ? ${name}) then throw "the activation script `${lib.last path}' depends on `${name}', which does not exist"
        else lib.foldl' (visit (path ++ [ name ])) done snippets.${name}.deps ++ [ name ];
    in lib.foldl' (visit [ ]) [ ] (lib.attrNames snippets);

  etcFiles = lib.filter (file: file.enable) (lib.attrValues config.environment.etc);
  etc = pkgs.linkFarm "etc" (map (file: { name = file.target; path = file.source; }) etcFiles ++ cfg.fixture.unitLinks);

  snippetFile = kind: name: text: pkgs.writeShellScript "${kind}-${name}" text;
  activationSnippets = map
    (name: { inherit name; file = snippetFile "activation" name cfg.activationScripts.${name}.text; })
    (orderByDeps cfg.activationScripts);
  preSwitchChecks = lib.mapAttrsToList (name: text: { inherit name; file = snippetFile "check" name text; }) cfg.preSwitchChecks;
  table = concatMapStrings (entry: "${entry.name} ${entry.file}\n");

  system = pkgs.runCommand "nixos-system-${config.networking.hostName}-${cfg.nixos.label}" {
    inherit etc;
    sw = pkgs.symlinkJoin { name = "system-path"; paths = config.environment.systemPackages; };
    snippets = table activationSnippets;
    checks = table preSwitchChecks;
    activate = ./activate.pl;
    switchToConfiguration = ./switch-to-configuration.pl;
    kernel =
      if cfg.fixture.kernelMegabytes == 0 then pkgs.writeText "linux-${cfg.fixture.kernelVersion}" cfg.fixture.kernelVersion
      else pkgs.runCommand "linux-${cfg.fixture.kernelVersion}" { } "head -c ${toString cfg.fixture.kernelMegabytes}000000 /dev/zero > $out";
    initrd = pkgs.writeText "initrd-linux-${cfg.fixture.kernelVersion}" cfg.fixture.kernelVersion;
    modules = pkgs.writeText "linux-${cfg.fixture.kernelVersion}-modules" cfg.fixture.kernelVersion;
  } ''
    mkdir $out && cd $out
    ${pkgs.makeLinks} $etc etc $sw sw $kernel kernel $initrd initrd $modules kernel-modules /lib/systemd/systemd systemd
    echo -n "${toString config.boot.kernelParams}" > $out/kernel-params
    echo -n "${cfg.nixos.label}" > $out/nixos-version
    echo -n "${config.nixpkgs.system}" > $out/system
    echo -n "${toString cfg.fixture.initInterfaceVersion}" > $out/init-interface-version
    printf %s "$snippets" > $out/activation-snippets
    printf %s "$checks" > $out/pre-switch-checks
    echo "${toString cfg.fixture.leftoverErrno}" > $out/leftover-errno
    install -m 755 $activate $out/activate
    install -D -m 755 $switchToConfiguration $out/bin/switch-to-configuration
    ${cfg.extraSystemBuilderCmds}
  '';

  failed = map (assertion: assertion.message) (lib.filter (assertion: !assertion.assertion) config.assertions);
in {
  options.system = {
    stateVersion = mkOption { type = types.str; default = "24.05"; };
    nixos.label = mkOption { type = types.str; default = "24.05.fixture"; };
    autoUpgrade.enable = mkOption { type = types.bool; default = false; };
    build = mkOption { type = types.attrsOf types.unspecified; default = { }; };
    activationScripts = mkOption {
      type = types.attrsOf (types.coercedTo types.str (text: { inherit text; }) snippet);
      default = { };
    };
    extraSystemBuilderCmds = mkOption { type = types.lines; default = ""; };
    preSwitchChecks = mkOption {
      type = types.attrsOf types.str;
      default = { };
      description = "Shell snippets, each of which may refuse the switch; they get the new system and the action.";
    };
    fixture.leftoverErrno = mkOption {
      type = types.int;
      default = 1;
      description = "What switch-to-configuration exits with where it refuses: NixOS's takes errno, and 0 and 4 may be left in it.";
    };
    fixture.initInterfaceVersion = mkOption {
      type = types.int;
      default = 2;
      description = "Another value than the running system's makes switch-to-configuration exit with 100, nothing activated.";
    };
  };
  config.system.build.toplevel =
    if failed != [ ] then throw "\nFailed assertions:\n${lib.concatMapStringsSep "\n" (message: "- ${message}") failed}"
    else lib.foldr lib.warn system config.warnings;
}

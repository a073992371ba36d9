# Unit files from options, in the form that NixOS gives them. Each unit is a store path of its own, so that only
# a changed one has to travel.
{ config, lib, pkgs, ... }:
let
  inherit (lib) concatMapStrings concatStrings mapAttrsToList mkOption optionalAttrs optionalString types;
  cfg = config.systemd;

  strings = mkOption { type = types.listOf types.str; default = [ ]; };
  sectionValue = types.oneOf [ types.bool types.int types.str types.path types.package (types.listOf (types.oneOf [ types.str types.path types.package ])) ];
  section = mkOption { type = types.attrsOf (types.nullOr sectionValue); default = { }; };
  text = mkOption { type = types.lines; default = ""; };

  unitOptions = {
    enable = mkOption { type = types.bool; default = true; };
    description = mkOption { type = types.str; default = ""; };
    wantedBy = strings; requiredBy = strings;
    after = strings; before = strings;
    wants = strings; requires = strings; requisite = strings; bindsTo = strings; partOf = strings; conflicts = strings;
    onFailure = strings;
    unitConfig = section;
    startLimitIntervalSec = mkOption { type = types.nullOr types.int; default = null; };
    startLimitBurst = mkOption { type = types.nullOr types.int; default = null; };
    restartTriggers = mkOption { type = types.listOf types.unspecified; default = [ ]; };
    aliases = strings;
  };
  serviceOptions = unitOptions // {
    serviceConfig = section;
    environment = mkOption { type = types.attrsOf (types.nullOr (types.oneOf [ types.str types.path types.package ])); default = { }; };
    path = mkOption { type = types.listOf (types.oneOf [ types.package types.str ]); default = [ ]; };
    script = text; preStart = text; postStart = text; preStop = text; postStop = text;
    restartIfChanged = mkOption { type = types.bool; default = true; };
    reloadIfChanged = mkOption { type = types.bool; default = false; };
    stopIfChanged = mkOption { type = types.bool; default = true; };
    startAt = mkOption { type = types.str; default = ""; };
  };
  submodules = options: mkOption { type = types.attrsOf (types.submodule { inherit options; }); default = { }; };

  value = v: if lib.isBool v then lib.boolToString v else toString v;
  lines = set: concatStrings (mapAttrsToList (key: v: if v == null then "" else concatMapStrings (one: "${key}=${value one}\n") (lib.toList v)) set);

  unitSection = unit: "[Unit]\n" + lines (
    optionalAttrs (unit.description != "") { Description = unit.description; }
    // lib.filterAttrs (_: list: list != "") {
      After = toString unit.after; Before = toString unit.before; Wants = toString unit.wants; Requires = toString unit.requires;
      Requisite = toString unit.requisite; BindsTo = toString unit.bindsTo; PartOf = toString unit.partOf;
      Conflicts = toString unit.conflicts; OnFailure = toString unit.onFailure;
    }
    // optionalAttrs (unit.startLimitIntervalSec != null) { StartLimitIntervalSec = unit.startLimitIntervalSec; }
    // optionalAttrs (unit.startLimitBurst != null) { StartLimitBurst = unit.startLimitBurst; }
    // optionalAttrs (unit.restartTriggers != [ ]) { X-Restart-Triggers = toString unit.restartTriggers; }
    // unit.unitConfig);

  serviceText = name: unit:
    let
      program = what: body: pkgs.writeShellScript "unit-script-${lib.replaceStrings [ "@" ] [ "-" ] name}-${what}" "set -e\n${body}";
      scripts = lib.mapAttrs (_: s: [ s.script ]) (lib.filterAttrs (_: s: s.body != "") {
        ExecStart = { body = unit.script; script = program "start" unit.script; };
        ExecStartPre = { body = unit.preStart; script = program "pre-start" unit.preStart; };
        ExecStartPost = { body = unit.postStart; script = program "post-start" unit.postStart; };
        ExecStop = { body = unit.preStop; script = program "pre-stop" unit.preStop; };
        ExecStopPost = { body = unit.postStop; script = program "post-stop" unit.postStop; };
      });
      searchPath = lib.concatMapStringsSep ":" (entry: "${entry}/bin:${entry}/sbin") (unit.path ++ [ "/usr" "" ]);
      environment = { PATH = searchPath; } // lib.filterAttrs (_: v: v != null) unit.environment;
    in
    unitSection unit + "\n[Service]\n"
    + concatStrings (mapAttrsToList (key: v: "Environment=${builtins.toJSON "${key}=${v}"}\n") environment)
    + (if unit.reloadIfChanged then "X-ReloadIfChanged=true\n" else optionalString (!unit.restartIfChanged) "X-RestartIfChanged=false\n")
    + optionalString (!unit.stopIfChanged) "X-StopIfChanged=false\n"
    + lines (scripts // unit.serviceConfig);

  unit = suffix: text: lib.mapAttrs' (name: unit: lib.nameValuePair "${name}.${suffix}" {
    inherit (unit) enable wantedBy requiredBy aliases;
    text = text name unit;
  });
  withSection = title: attribute: _: unit: unitSection unit + "\n[${title}]\n" + lines unit.${attribute};

  units = unit "service" serviceText cfg.services
    // unit "socket" (_: u: unitSection u + "\n[Socket]\n" + lines ({ ListenStream = u.listenStreams; } // u.socketConfig)) cfg.sockets
    // unit "timer" (withSection "Timer" "timerConfig") cfg.timers
    // unit "path" (withSection "Path" "pathConfig") cfg.paths
    // unit "target" (_: unitSection) cfg.targets
    // unit "mount" (withSection "Mount" "mountConfig") (lib.listToAttrs (map (mount: {
      name = lib.replaceStrings [ "/" ] [ "-" ] (lib.removePrefix "/" mount.where);
      value = mount // { mountConfig = { What = mount.what; Where = mount.where; Type = mount.type; } // mount.mountConfig; };
    }) cfg.mounts));

  # In a folder of its own: systemd takes a link to a file of another name for an alias.
  fileOf = name: u: pkgs.writeTextFile {
    name = "unit-${lib.replaceStrings [ "@" ] [ "-" ] name}";
    destination = "/${name}";
    inherit (u) text;
  } + "/${name}";
  enabled = lib.filterAttrs (_: u: u.enable) units;
  linksOf = name: u:
    [ { name = "systemd/system/${name}"; path = fileOf name u; } ]
    ++ map (target: { name = "systemd/system/${target}.wants/${name}"; path = "../${name}"; }) u.wantedBy
    ++ map (target: { name = "systemd/system/${target}.requires/${name}"; path = "../${name}"; }) u.requiredBy
    ++ map (alias: { name = "systemd/system/${alias}"; path = name; }) u.aliases;
in {
  options.systemd = {
    package = mkOption { type = types.package; default = pkgs.systemd; };
    services = submodules serviceOptions;
    sockets = submodules (unitOptions // { socketConfig = section; listenStreams = strings; });
    timers = submodules (unitOptions // { timerConfig = section; });
    paths = submodules (unitOptions // { pathConfig = section; });
    targets = submodules unitOptions;
    mounts = mkOption {
      default = [ ];
      type = types.listOf (types.submodule {
        options = unitOptions // {
          what = mkOption { type = types.str; };
          where = mkOption { type = types.str; };
          type = mkOption { type = types.str; };
          mountConfig = section;
        };
      });
    };
    tmpfiles.rules = strings;
    units = mkOption { type = types.attrsOf types.unspecified; description = "The text of every unit and where it is wanted."; };
  };
  options.system.fixture.unitLinks = mkOption {
    type = types.listOf types.attrs;
    internal = true;
    description = "Links below /etc for all units, as { name; path; }.";
  };
  config = {
    systemd.units = units;
    system.fixture.unitLinks = lib.concatLists (mapAttrsToList linksOf enabled);
    environment.etc."tmpfiles.d/00-nixos.conf" = lib.mkIf (cfg.tmpfiles.rules != [ ]) { text = lib.concatLines cfg.tmpfiles.rules; };
    systemd.timers = lib.mapAttrs (_: service: { wantedBy = [ "timers.target" ]; timerConfig.OnCalendar = service.startAt; })
      (lib.filterAttrs (_: service: service.startAt != "") cfg.services);
  };
}

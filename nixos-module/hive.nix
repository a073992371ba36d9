# What the trigger evaluates of a hive in Colmena's format (and of networks in morph's and NixOps' format).
#
#   import ./hive.nix { path = /abs/hive.nix; }      or, for a hive that is already a value,      { hive = { … }; }
#   import ./hive.nix { made = { meta, configurations }; }      for nodes that are already evaluated
#
#   .info                    the hive's own settings and the names of its nodes; evaluates no node
#   .deployments [ "a" … ]   by node, what the trigger needs to select it and to connect; evaluates no system
#   .nodes [ "a" … ]         by node, the same and its system's derivation
#   .keys [ "a" … ]          by node, its deployment.keys without the text of those that are written in the hive
#   .keyTexts [ "a" … ]      by node, those texts
#   .common [ "a" … ]        what these nodes share with others: `nodes`, all that depend on it (none: [ ]), and `ready`,
#                            whose evaluation fails where each of theirs would
#   .configurations.a        a node as NixOS evaluates it, with config, options and pkgs
#   .introspect f            the result of f for { pkgs, lib, nodes }
#
# Every node of a hive gets the modules in this folder, so that all nodes have the options services.waggle-agent and
# deployment, and in addition `modules`. Nodes that are already evaluated have only the modules that they import
# themselves.
{ path ? null, shown ? if path == null then "the hive" else toString path, hive ? import path, made ? null, modules ? [ ]
, folder ? if path == null then "/" else dirOf path }:
let
  inherit (builtins)
    addErrorContext attrNames concatStringsSep deepSeq elem filter foldl' functionArgs hasAttr head intersectAttrs isAttrs isFunction
    isList listToAttrs mapAttrs match removeAttrs toString;

  fail = sentence: throw "${shown}: ${sentence}";
  # The trigger shows equal lines only once, so these warnings name no node.
  warn = builtins.warn or (sentence: builtins.trace "warning: ${sentence}");
  quoted = names: concatStringsSep ", " (map (name: "`${name}'") names);

  raw =
    let called = import ./call-hive.nix { inherit fail; } hive; in
    if made != null then { }
    else if called ? __schema then fail "it was already made by makeHive: pass the original hive to makeHive."
    else called;

  isNetwork = raw ? network;
  # The other attributes in morph's and NixOps' files that are not nodes.
  ofNetworks = if isNetwork then [ "resources" "require" ] else [ ];
  reserved = [ "meta" "network" "defaults" ] ++ ofNetworks;
  names =
    let
      all = if made != null then attrNames made.configurations else attrNames (removeAttrs raw reserved);
      wrong = filter (name: elem name reserved || match "[^/]+" name == null) all;
    in
    if raw ? meta && raw ? network then meta # which refuses it
    else if elem "" all then fail "a node has an empty name."
    else if wrong != [ ] then fail "a node cannot be named ${quoted wrong}."
    else all;

  selected = wanted:
    let unknown = filter (name: !(elem name names)) wanted; in
    if unknown == [ ] then wanted
    else fail "there is no node ${quoted unknown}; ${if names == [ ] then "the hive has none" else "there are ${quoted names}"}.";

  meta = import ./meta.nix {
    raw = if made != null then { inherit (made) meta; } else raw;
    ignored = filter (name: hasAttr name raw) ofNetworks;
    inherit fail warn;
  };

  packageSet = import ./package-set.nix { inherit fail; };
  hivePackages = packageSet "meta.nixpkgs" meta.nixpkgs;
  packagesOf = name:
    if meta.nodeNixpkgs ? ${name} then packageSet "meta.nodeNixpkgs.${name}" meta.nodeNixpkgs.${name} else hivePackages;

  # --- nodes ---

  # A module that is written in the hive itself has no file of its own: this makes errors name its place in the hive. An
  # import from another module would change the order in which lists are merged.
  located = where: module:
    let file = { _file = "${shown} (${where})"; }; in
    if isFunction module then { __functor = _: arguments: file // module arguments; __functionArgs = functionArgs module; }
    else if isAttrs module && !(module ? __functor || module ? outPath) then file // module
    else module;

  modulesOf = where: value: map (located where) (if isList value then value else [ value ]);

  # Colmena declares the former itself in the hives that its makeHive makes.
  colmenaModules = [ ./colmena-options.nix ./colmena-keys.nix ];
  ownModules = [ ./deployment.nix ./keys-options.nix ./agent.nix ];

  evaluate = extraModules: name:
    let
      npkgs = packagesOf name;

      # Overlays and configuration of the hive's nixpkgs apply to its nodes, which may add to them and override them.
      nixpkgsModule = { lib, ... }: {
        _file = "meta.nixpkgs";
        config.nixpkgs = {
          overlays = lib.mkBefore (npkgs.overlays or [ ]);
          # Older releases do not merge values with an order.
          config =
            let place = if lib.versionAtLeast (lib.version or "20.09") "22.11" then lib.mkBefore else lib.mkOptionDefault;
            in place (npkgs.config or { });
        };
      };

      # As in morph and NixOps, so that a switch does not rename the machines.
      networkDefaults = { lib, ... }: {
        _file = "the network's node ${name}";
        config = lib.optionalAttrs (match "[a-zA-Z0-9]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?" name != null) {
          networking.hostName = lib.mkDefault name;
        };
      };
      networkModules =
        if isNetwork then
          [ networkDefaults (import ./network-options.nix { inherit folder; }) ]
        else [ ];

      agentDefaults = { lib, ... }: {
        _file = "meta.name";
        config.services.waggle-agent.hive = lib.mkDefault meta.name;
      };
    in
    import (npkgs.path + "/nixos/lib/eval-config.nix") {
      inherit (npkgs.stdenv.hostPlatform) system;
      specialArgs = { inherit name nodes; } // meta.specialArgs // meta.nodeSpecialArgs.${name} or { };
      modules = [ nixpkgsModule ] ++ colmenaModules ++ ownModules ++ networkModules ++ [ agentDefaults ] ++ modules
        ++ modulesOf "defaults" (raw.defaults or { }) ++ modulesOf "node ${name}" raw.${name} ++ extraModules;
    };

  # What modules get as `nodes`. It is unchecked, because a node that refers to another needs its values, and not
  # whether an option is misspelt there.
  nodes = listToAttrs (map (name: { inherit name; value = evaluate [ { _module.check = false; } ] name; }) names);

  # Does not use `configurations`, which would keep every node in memory until the last one is evaluated.
  configuration = name: if made == null then evaluate [ ] name else configurations.${name};
  configurations =
    if made == null then listToAttrs (map (name: { inherit name; value = configuration name; }) names)
    else mapAttrs (name: node: node // { config = node.config // { deployment = defaultsOf name // node.config.deployment or { }; }; }) made.configurations;

  # For nodes that do not import the modules that declare these options. The trigger has defaults for the other options.
  defaultsOf = name: { targetHost = name; targetPort = null; tags = [ ]; };

  deployment = config:
    let
      written = config.deployment;
      part = names: intersectAttrs (listToAttrs (map (name: { inherit name; value = null; }) names));
      some = names: of: if written ? ${of} then { ${of} = part names written.${of}; } else { };
    in
    foldl' (rest: sentence: warn sentence rest) (
      part [ "tags" "targetHost" "targetPort" "localContent" "replaceUnknownProfiles" "specialisation" "buildOnTarget" ] written
      // some [ "enable" "port" "hostKey" "via" ] "agent"
      // some [ "enable" "confirmTimeout" "activationTimeout" "onFailedUnits" ] "rollback"
    ) (unused written);

  # Colmena's options for its SSH sessions. Most do no harm if they are not used.
  unused = written:
    let
      when = condition: sentence: if condition then [ sentence ] else [ ];
      viaSsh = written.agent.via or "direct" == "ssh";
    in
    when (written.notUsed or [ ] != [ ])
      "${concatStringsSep ", " (map (name: "deployment.${name}") written.notUsed)}: set and not used; these options of morph and NixOps have no meaning here."
    ++ when (written.sshOptions or [ ] != [ ])
      "deployment.sshOptions is set and not used: put what a connection through SSH needs into ~/.ssh/config."
    ++ when (viaSsh && !(elem (written.targetUser or "root") [ null "root" ]))
      "deployment.targetUser is set and not used: with deployment.agent.via = \"ssh\" the user is the one of ~/.ssh/config.";

  # Everything except the content: for a text, only whether there is one.
  keys = config: mapAttrs
    (_: key: {
      inherit (key) user group permissions uploadAt keyFile;
      path = toString key.path;
      keyCommand = if key.keyCommand == null then null else map withoutContext key.keyCommand;
      hasText = key.text != null;
      restartUnits = key.restartUnits or [ ];
      reloadUnits = key.reloadUnits or [ ];
      neededForUsers = key.neededForUsers or false;
      allowEmpty = key.allowEmpty or false;
    })
    (config.deployment.keys or { });

  # Evaluates each member to its end within the node's context; otherwise an error in it would not name the node.
  forSelected = describe: wanted:
    let
      inNode = name: addErrorContext "while evaluating the node `${name}':";
      answer = name: inNode name (mapAttrs (_: member: inNode name (deepSeq member member)) (describe (configuration name)));
    in
    listToAttrs (map (name: { inherit name; value = answer name; }) (selected wanted));

  withoutContext = builtins.unsafeDiscardStringContext;
in
{
  # The version of this format, for a trigger of another version than the flake that made the hive.
  __schema = "waggle/1";

  info = {
    meta = {
      inherit (meta) name description allowApplyAll recoveryRecipients;
      machinesFile = if meta.machinesFile == null then null else toString meta.machinesFile;
    };
    nodes = names;
  };

  inherit configurations;

  common = wanted:
    let
      standing = if made != null then [ ] else filter (name: !(meta.nodeNixpkgs ? ${name})) names;
      defaults = raw.defaults or null;
    in
    {
      nodes = if builtins.any (name: elem name standing) wanted then standing else [ ];
      ready = foldl' (_: part: builtins.seq part null) null [
        hivePackages.path
        hivePackages.lib
        meta.specialArgs
        (if builtins.typeOf defaults == "path" then import defaults else defaults)
      ];
    };

  deployments = forSelected (node: deployment node.config);

  keys = forSelected (node: {
    deployment = deployment node.config;
    inherit (node.pkgs.stdenv.hostPlatform) system;
    agentEnabled = node.config.services.waggle-agent.enable or false;
    hive = node.config.services.waggle-agent.hive or null;
    node = node.config.services.waggle-agent.node or null;
    keys =
      let problems = import ./check-keys.nix { inherit (node.pkgs) lib; } { inherit (node.config) users; keys = node.config.deployment.keys or { }; }; in
      if problems == [ ] then keys node.config
      else throw "\nFailed assertions:\n${concatStringsSep "\n" (map (problem: "- ${problem}") problems)}";
  });

  keyTexts = forSelected (node:
    let keys = node.config.deployment.keys or { }; in
    listToAttrs (map (name: { inherit name; value = keys.${name}.text; }) (filter (name: keys.${name}.text != null) (attrNames keys))));

  nodes = forSelected (node: {
    deployment = deployment node.config;
    keys = keys node.config;
    inherit (node.pkgs.stdenv.hostPlatform) system;
    agentEnabled = node.config.services.waggle-agent.enable or false;
    hive = node.config.services.waggle-agent.hive or null;
    node = node.config.services.waggle-agent.node or null;
    operators = node.config.services.waggle-agent.operators or [ ];
    drvPath = withoutContext node.config.system.build.toplevel.drvPath;
    toplevel = withoutContext node.config.system.build.toplevel.outPath;
  });

  introspect =
    let
      pkgs =
        if made == null then hivePackages
        else if names == [ ] then fail "it has no nodes."
        else configurations.${head names}.pkgs;
    in
    function: function { inherit pkgs; inherit (pkgs) lib; nodes = configurations; };
}

# What the trigger evaluates of a hive, in the format of Colmena (and of morph's and NixOps' networks).
#
#   import ./hive.nix { path = /abs/hive.nix; }      or, of a hive that is a value already,      { hive = { … }; }
#
#   .info                    what the hive says of itself and the names of its nodes; evaluates no node
#   .deployments [ "a" … ]   by node, what the trigger needs to select and to connect; evaluates no system
#   .nodes [ "a" … ]         by node, the same and its system's derivation
#   .keys [ "a" … ]          by node, its deployment.keys without the text of those that are written in the hive
#   .keyTexts [ "a" … ]      by node, those texts
#   .configurations.a        a node as NixOS evaluates it, with config, options and pkgs
#
# Every node gets the modules beside this file, so services.waggle-agent and deployment are options of all of them, and
# `modules` besides.
{ path ? null, hive ? import path, modules ? [ ] }:
let
  inherit (builtins)
    addErrorContext attrNames concatStringsSep deepSeq elem filter functionArgs hasAttr isAttrs isBool isFunction isList isString
    listToAttrs mapAttrs removeAttrs toString typeOf;

  shownPath = if path == null then "the hive" else toString path;
  fail = sentence: throw "${shownPath}: ${sentence}";
  quoted = names: concatStringsSep ", " (map (name: "`${name}'") names);

  # --- the hive itself ---

  required = arguments: filter (name: !arguments.${name}) (attrNames arguments);
  call = value:
    let
      isFunctor = isAttrs value && value ? __functor;
      arguments = if isFunctor then functionArgs (value.__functor value) else functionArgs value;
    in
    if isFunction value || isFunctor then
      if required arguments == [ ] then call (value { })
      else fail "it is a function that requires ${quoted (required arguments)}: give each argument a default, for nobody else can."
    else if isAttrs value then value
    else fail "it must be an attribute set with one attribute for each node, and is a ${typeOf value}.";

  raw = call hive;

  reserved = [ "meta" "network" "defaults" ];
  names =
    if raw ? meta && raw ? network then fail "it has both `meta' and `network', which are two names of the same: keep one."
    else if hasAttr "" raw then fail "a node has an empty name."
    else attrNames (removeAttrs raw reserved);

  selected = wanted:
    let unknown = filter (name: !(elem name names)) wanted; in
    if unknown == [ ] then wanted
    else fail "there is no node ${quoted unknown}; ${if names == [ ] then "the hive has none" else "there are ${quoted names}"}.";

  # --- meta ---

  meta =
    let
      given = raw.meta or raw.network or { };
      optionalString = value: value == null || isString value || typeOf value == "path";
      expect = what: test: name: value:
        if test value then value else fail "meta.${name} must be ${what}, and is a ${typeOf value}.";
      options = {
        name = { default = "hive"; check = expect "a string" isString; };
        description = { default = "A hive"; check = expect "a string" isString; };
        nixpkgs = { default = null; check = _: value: value; };
        nodeNixpkgs = { default = { }; check = expect "an attribute set" isAttrs; };
        specialArgs = { default = { }; check = expect "an attribute set" isAttrs; };
        nodeSpecialArgs = { default = { }; check = expect "an attribute set" isAttrs; };
        machinesFile = { default = null; check = expect "a path or null" optionalString; };
        allowApplyAll = { default = true; check = expect "a boolean" isBool; };
        recoveryRecipients = {
          default = [ ];
          check = expect "a list of public keys (age1… or ssh-ed25519 AAAA…)" (value: isList value && builtins.all isString value);
        };
      };
      unknown = filter (name: !(options ? ${name})) (attrNames given);
    in
    if !isAttrs given then fail "meta must be an attribute set, and is a ${typeOf given}."
    else if unknown != [ ] then
      fail "the option ${quoted (map (name: "meta.${name}") unknown)} does not exist; there are ${quoted (attrNames options)}."
    else mapAttrs (name: option: option.check name (given.${name} or option.default)) options;

  # --- nixpkgs ---

  # A package set, from any of the forms that meta.nixpkgs may have.
  packageSet = what: value:
    let
      isPackageSet = value ? lib && value ? path;
      isFolder = typeOf value == "path" || isString value || (isAttrs value && value ? outPath && !isPackageSet);
    in
    if isFolder then import value { }
    else if isFunction value then value { overlays = [ ]; }
    else if isAttrs value then value
    else fail "${what} must be a path, a function or a package set, and is a ${typeOf value}.";

  fallback =
    # Evaluation is pure exactly when there is no current system.
    if builtins ? currentSystem then <nixpkgs>
    else fail "meta.nixpkgs must be set to a package set: <nixpkgs> does not exist in a flake.";
  hivePackages = packageSet "meta.nixpkgs" (if meta.nixpkgs == null then fallback else meta.nixpkgs);
  packagesOf = name:
    if meta.nodeNixpkgs ? ${name} then packageSet "meta.nodeNixpkgs.${name}" meta.nodeNixpkgs.${name} else hivePackages;

  # --- nodes ---

  # A module that is written in the hive itself has no file of its own: errors then say where in the hive it is. Not by
  # importing it from another module, which would change the order in which lists are merged.
  located = where: module:
    let file = { _file = "${shownPath} (${where})"; }; in
    if isFunction module then { __functor = _: arguments: file // module arguments; __functionArgs = functionArgs module; }
    else if isAttrs module && !(module ? __functor || module ? outPath) then file // module
    else module;

  modulesOf = where: value: map (located where) (if isList value then value else [ value ]);

  evaluate = extraModules: name:
    let
      npkgs = packagesOf name;

      # Overlays and configuration of the hive's nixpkgs count for its nodes, which may add to them and override them.
      nixpkgsModule = { lib, ... }: {
        _file = "meta.nixpkgs";
        config.nixpkgs = {
          overlays = lib.mkBefore (npkgs.overlays or [ ]);
          # Older releases do not merge what carries an order.
          config =
            let place = if lib.versionAtLeast (lib.version or "20.09") "22.11" then lib.mkBefore else lib.mkOptionDefault;
            in place (npkgs.config or { });
        };
      };

      agentDefaults = { lib, ... }: {
        _file = "meta.name";
        config.services.waggle-agent.hive = lib.mkDefault meta.name;
      };
    in
    import (npkgs.path + "/nixos/lib/eval-config.nix") {
      inherit (npkgs.stdenv.hostPlatform) system;
      specialArgs = { inherit name nodes; } // meta.specialArgs // meta.nodeSpecialArgs.${name} or { };
      modules = [ nixpkgsModule ./colmena-options.nix ./colmena-keys.nix ./deployment.nix ./keys-options.nix ./agent.nix agentDefaults ] ++ modules
        ++ modulesOf "defaults" (raw.defaults or { }) ++ modulesOf "node ${name}" raw.${name} ++ extraModules;
    };

  # What modules get as `nodes`: unchecked, because a node that looks at another needs to know its values, not whether
  # somebody misspelt an option there.
  nodes = listToAttrs (map (name: { inherit name; value = evaluate [ { _module.check = false; } ] name; }) names);

  deployment = config: {
    inherit (config.deployment) tags targetHost targetPort localContent;
    agent = { inherit (config.deployment.agent) enable port hostKey via; };
    rollback = { inherit (config.deployment.rollback) enable confirmTimeout activationTimeout onFailedUnits; };
  };

  # All but the content: of a text only that there is one.
  keys = config: mapAttrs
    (_: key: {
      inherit (key) user group permissions uploadAt keyFile;
      path = toString key.path;
      keyCommand = if key.keyCommand == null then null else map withoutContext key.keyCommand;
      hasText = key.text != null;
      restartUnits = key.restartUnits or [ ];
      reloadUnits = key.reloadUnits or [ ];
      neededForUsers = key.neededForUsers or false;
    })
    (config.deployment.keys or { });

  configurations = listToAttrs (map (name: { inherit name; value = evaluate [ ] name; }) names);

  # Each member to its end within the node's context, or an error in it would not say whose it is.
  forSelected = describe: wanted:
    listToAttrs (map
      (name: {
        inherit name;
        value = mapAttrs (_: member: addErrorContext "while evaluating the node `${name}':" (deepSeq member member))
          (describe configurations.${name});
      })
      (selected wanted));

  withoutContext = builtins.unsafeDiscardStringContext;
in
{
  info = {
    meta = {
      inherit (meta) name description allowApplyAll recoveryRecipients;
      machinesFile = if meta.machinesFile == null then null else toString meta.machinesFile;
    };
    nodes = names;
  };

  inherit configurations;

  deployments = forSelected (node: deployment node.config);

  keys = forSelected (node: {
    deployment = deployment node.config;
    inherit (node.config.services.waggle-agent) hive node;
    inherit (node.pkgs.stdenv.hostPlatform) system;
    agentEnabled = node.config.services.waggle-agent.enable;
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
    agentEnabled = node.config.services.waggle-agent.enable;
    inherit (node.config.services.waggle-agent) hive node;
    drvPath = withoutContext node.config.system.build.toplevel.drvPath;
    toplevel = withoutContext node.config.system.build.toplevel.outPath;
  });
}

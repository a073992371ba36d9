# evalModules: collects modules through their imports, then merges what they declare and define.
{ lib }:
let
  inherit (lib) attrNames concatLists concatMap elem filter head isAttrs isFunction isOption length mapAttrs optional showOption showDefs;

  moduleKeys = [ "_file" "key" "imports" "options" "config" "meta" "freeformType" "disabledModules" "_class" ];

  # What a module says, whichever way it is written, as { key, file, imports, options, config }.
  unify = file: key: m:
    let
      explicit = m ? config || m ? options;
      unknown = attrNames (removeAttrs m moduleKeys);
      file' = toString (m._file or file);
    in
    if !isAttrs m then
      throw "Module `${file}' is not an attribute set or a function, it is ${lib.showValue m}"
    else if explicit && unknown != [ ] then
      throw ("Module `${file'}' has an unsupported attribute `${head unknown}'. This is caused by introducing a top-level "
        + "`config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move all of them "
        + "(namely: ${lib.concatStringsSep " " unknown}) into the explicit `config' attribute.")
    else {
      key = toString (m.key or key);
      file = file';
      imports = m.imports or [ ];
      options = m.options or { };
      config = lib.mkMerge ([ (if explicit then m.config or { } else removeAttrs m moduleKeys) ]
        ++ optional (m ? freeformType) { _module.freeformType = m.freeformType; });
    };

  # Calls a module function; arguments that are not special are looked up in _module.args when they are used.
  callModule = args: config: file: m:
    if isFunction m then
      m (args // mapAttrs (name: _:
        args.${name} or (builtins.addErrorContext "while evaluating the module argument `${name}' in `${file}':"
          (config._module.args.${name})))
        (lib.functionArgs m))
    else m;

  # A module of the list, loaded; `file` and `key` serve those that have none of their own.
  load = args: config: parentFile: parentKey: n: m:
    let
      anonymous = "${parentKey}:anon-${toString n}";
      isFile = builtins.isPath m || builtins.isString m || (isAttrs m && m ? outPath && !(m ? __functor));
      file = if isFile then toString m else parentFile;
      key = if isFile then toString m else anonymous;
      loaded = callModule args config file (if isFile then import m else m);
    in unify file key loaded;

  collect = args: config: modules:
    let
      entries = file: key: imports: lib.imap1 (n: m: load args config file key n m) imports;
    in builtins.genericClosure {
      startSet = entries "<unknown-file>" "" modules;
      operator = m: entries m.file m.key m.imports;
    };

  # mkIf, mkMerge and mkOverride around a set of definitions, moved to its members.
  pushDown = cfg:
    let type = cfg._type or ""; in
    if type == "merge" then concatMap pushDown cfg.contents
    else if type == "if" then map (mapAttrs (_: lib.mkIf cfg.condition)) (pushDown cfg.content)
    else if type == "override" then map (mapAttrs (_: lib.mkOverride cfg.priority)) (pushDown cfg.content)
    else [ cfg ];

  typeOf = value: if isAttrs value then value._type or "" else "";

  # The values of one option's definition whose conditions hold; priority and order still wrapped around them. Nothing
  # within a priority is looked at: a default that throws must not be forced when it is overridden.
  discharge = value:
    let type = typeOf value; in
    if type == "merge" then concatMap discharge value.contents
    else if type == "if" then
      if !builtins.isBool value.condition then throw "`mkIf' called with a non-Boolean condition"
      else if value.condition then discharge value.content else [ ]
    else [ value ];

  priorityOf = value: if typeOf value == "override" then value.priority else 100;
  orderOf = value: if typeOf value == "order" then value.priority else 1000;
  withoutPriority = value: if typeOf value == "override" then value.content else value;
  withoutOrder = value: if typeOf value == "order" then value.content else value;

  # One option's definitions, reduced to one value.
  mergeDefinitions = loc: type: defs:
    let
      all = concatMap (def: map (value: { inherit (def) file; inherit value; }) (discharge def.value)) defs;
      highestPrio = lib.foldl' (p: def: lib.min p (priorityOf def.value)) 9999 all;
      winning = map (def: def // { value = withoutPriority def.value; }) (filter (def: priorityOf def.value == highestPrio) all);
      sorted =
        if lib.any (def: typeOf def.value == "order") winning then lib.sort (a: b: orderOf a.value < orderOf b.value) winning
        else winning;
      final = map (def: def // { value = withoutOrder def.value; }) sorted;
      wrong = filter (def: !type.check def.value) final;
    in {
      inherit highestPrio;
      defs = final;
      isDefined = final != [ ];
      value =
        if final == [ ] then type.emptyValue.value or (throw "The option `${showOption loc}' is used but not defined.")
        else if wrong == [ ] then type.merge loc final
        else throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values:${showDefs wrong}";
    };

  # Several declarations of one option: types of the same kind that can be joined are, anything else twice is an error.
  mergeDeclarations = loc: decls:
    lib.foldl' (merged: decl:
      let
        new = decl.options;
        joined = if merged ? type && new ? type then merged.type.join or (_: null) new.type else null;
        twice = filter (name: merged ? ${name} && new ? ${name}) [ "default" "example" "description" "apply" ];
      in
      if twice != [ ] || (merged ? type && new ? type && joined == null) then
        throw "The option `${showOption loc}' in `${decl.file}' is already declared in ${lib.showFiles merged.declarations}."
      else merged // new // lib.optionalAttrs (joined != null) { type = joined; } // { declarations = merged.declarations ++ [ decl.file ]; })
      { _type = "option"; declarations = [ ]; } decls;

  evalOption = loc: decls: defs:
    let
      opt = mergeDeclarations loc decls;
      type = opt.type or lib.types.unspecified;
      defaults = optional (opt ? default) { file = head opt.declarations; value = lib.mkOptionDefault opt.default; };
      merged = mergeDefinitions loc type (defaults ++ defs);
      readOnlyTwice = opt.readOnly or false && length (concatMap (d: discharge d.value) defs) > (if opt ? default then 0 else 1);
      value =
        if readOnlyTwice then throw "The option `${showOption loc}' is read-only, but it's set multiple times. Definition values:${showDefs merged.defs}"
        else (opt.apply or lib.id) merged.value;
    in opt // {
      inherit loc type;
      inherit (merged) highestPrio isDefined;
      files = map (def: def.file) merged.defs;
      definitions = map (def: def.value) merged.defs;
      definitionsWithLocations = merged.defs;
      value = builtins.addErrorContext "while evaluating the option `${showOption loc}':" value;
      __toString = _: showOption loc;
    };

  # Declarations and definitions below `prefix` → { options, unmatched }.
  mergeTree = prefix: decls: defs:
    let
      perName = concatMap (def: concatMap (cfg:
        if isAttrs cfg then map (name: { inherit name; inherit (def) file; value = cfg.${name}; }) (attrNames cfg)
        else throw "The option `${showOption prefix}' is a set of options, but is defined as ${lib.showValue cfg} in `${def.file}'.")
        (pushDown def.value)) defs;
      defsOf = builtins.groupBy (def: def.name) perName;
      declsOf = builtins.groupBy (decl: decl.name)
        (concatMap (decl: map (name: { inherit name; inherit (decl) file; options = decl.options.${name}; }) (attrNames decl.options)) decls);
      declared = mapAttrs (name: these:
        let
          loc = prefix ++ [ name ];
          own = filter (decl: isOption decl.options) these;
          definitions = defsOf.${name} or [ ];
        in
        if own == [ ] then mergeTree loc these definitions
        else if length own == length these then { options = evalOption loc own definitions; unmatched = [ ]; }
        else throw "The option `${showOption loc}' in `${(head own).file}' would be a parent of other options declared in ${lib.showFiles (map (d: d.file) (filter (d: !isOption d.options) these))}.")
        declsOf;
      undeclared = filter (def: !(declsOf ? ${def.name})) perName;
    in {
      options = mapAttrs (_: tree: tree.options) declared;
      unmatched = map (def: { inherit (def) file value; loc = prefix ++ [ def.name ]; inherit prefix; }) undeclared
        ++ concatLists (lib.mapAttrsToList (_: tree: tree.unmatched) declared);
    };

  valuesOf = options: mapAttrs (_: opt: if isOption opt then opt.value else valuesOf opt) options;

  # What every evaluation has besides its own modules.
  internalModule = { ... }: {
    _file = "<module system>";
    key = "<module system>";
    options._module = {
      args = lib.mkOption { type = lib.types.lazyAttrsOf lib.types.raw; default = { }; };
      check = lib.mkOption { type = lib.types.bool; default = true; };
      freeformType = lib.mkOption { type = lib.types.unspecified; default = null; };
    };
  };

  evalModules = { modules, prefix ? [ ], specialArgs ? { }, args ? { }, class ? null }@call:
    let
      special = { inherit lib options config specialArgs; } // specialArgs;
      argsModule = { _file = "<arguments>"; key = "<arguments>"; config._module.args = args; };
      collected = collect special config ([ internalModule argsModule ] ++ modules);
      tree = mergeTree prefix
        (map (m: { inherit (m) file options; }) collected)
        (map (m: { inherit (m) file; value = m.config; }) collected);
      inherit (tree) options;
      declared = valuesOf options;
      freeform = declared._module.freeformType;
      config =
        if freeform == null then declared
        else lib.recursiveUpdate (freeform.merge prefix
          (map (def: { inherit (def) file; value = lib.setAttrByPath (lib.drop (length prefix) def.loc) def.value; }) tree.unmatched)) declared;
      unknown = head tree.unmatched;
      checked = value:
        if tree.unmatched == [ ] || !declared._module.check || freeform != null then value
        else throw "The option `${showOption unknown.loc}' does not exist. Definition values:${showDefs (discharged unknown)}";
      discharged = def: map (value: { inherit (def) file; value = withoutOrder (withoutPriority value); }) (discharge def.value);
    in {
      _type = "configuration";
      inherit options;
      config = checked (removeAttrs config [ "_module" ]);
      _module = checked config._module;
      extendModules = { modules ? [ ], specialArgs ? { } }:
        evalModules (call // { modules = call.modules ++ modules; specialArgs = call.specialArgs or { } // specialArgs; });
    };
in {
  inherit evalModules mergeDefinitions;
  mkRenamedOptionModule = from: to: { config, options, ... }: {
    options = lib.setAttrByPath from (lib.mkOption { visible = false; });
    config = lib.mkIf (lib.getAttrFromPath from options).isDefined
      (lib.setAttrByPath to (lib.mkMerge (lib.getAttrFromPath from options).definitions));
  };
}

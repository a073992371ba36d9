# Option types: { name, description, check, merge, emptyValue?, join? }; `join` merges two declarations' types.
{ lib }:
let
  inherit (lib) concatMap isAttrs isList mergeEqualOption mergeOneOption showOption;
  inherit (lib.types) anything lazyAttrsOf;

  # A type joins with any of the same name, unless it says otherwise.
  mkOptionType = { name, description ? name, check ? (_: true), merge ? mergeEqualOption, ... }@args:
    let
      self = {
        _type = "option-type";
        inherit description check merge;
        join = other: if other.name == name then self else null;
      } // args;
    in self;

  checked = name: description: check: mkOptionType { inherit name description check; };

  members = element: loc: defs:
    lib.mapAttrs (name: these: lib.mergeDefinitions (loc ++ [ name ]) element these)
      (lib.groupBy (def: def.name)
        (concatMap (def: lib.mapAttrsToList (name: value: { inherit name value; inherit (def) file; }) def.value) defs));

  between = low: high: x: lib.isInt x && x >= low && x <= high;

  mergeAnything = loc: defs:
    if lib.all (def: isAttrs def.value && !(lib.isDerivation def.value)) defs then (lazyAttrsOf anything).merge loc defs
    else if lib.all (def: isList def.value) defs then concatMap (def: def.value) defs
    else mergeEqualOption loc defs;

in rec {
  inherit mkOptionType;
  isType = name: x: x._type or null == name;

  unspecified = mkOptionType { name = "unspecified"; description = "unspecified value"; merge = mergeAnything; };
  raw = mkOptionType { name = "raw"; description = "raw value"; merge = mergeOneOption; };
  anything = mkOptionType { name = "anything"; merge = mergeAnything; };

  bool = checked "bool" "boolean" lib.isBool;
  int = checked "int" "signed integer" lib.isInt;
  float = checked "float" "floating point number" builtins.isFloat;
  number = either int float;
  str = checked "str" "string" lib.isString;
  string = str;
  nonEmptyStr = checked "nonEmptyStr" "non-empty string" (x: lib.isString x && lib.match "[[:space:]]*" x == null);
  singleLineStr = checked "singleLineStr" "(optionally newline-terminated) single-line string" (x: lib.isString x && lib.match "[^\n]*\n?" x != null);
  strMatching = pattern: checked "strMatching ${lib.toJSON pattern}" "string matching the pattern ${pattern}" (x: lib.isString x && lib.match pattern x != null);
  separatedString = separator: mkOptionType {
    name = "separatedString";
    description = if separator == "\n" then "strings concatenated with newlines" else "strings concatenated with ${lib.toJSON separator}";
    check = lib.isString;
    merge = _: defs: lib.concatMapStringsSep separator (def: def.value) defs;
  };
  lines = separatedString "\n";
  commas = separatedString ",";
  path = checked "path" "path" (x: (lib.isString x || builtins.isPath x || x ? outPath) && lib.substring 0 1 (toString x) == "/");
  package = mkOptionType { name = "package"; check = x: lib.isDerivation x || lib.isStorePath x; merge = mergeOneOption; };
  shellPackage = package;
  attrs = mkOptionType {
    name = "attrs";
    description = "attribute set";
    check = isAttrs;
    emptyValue.value = { };
    merge = _: defs: lib.foldl' (acc: def: acc // def.value) { } defs;
  };

  ints = {
    between = low: high: checked "intBetween" "integer between ${toString low} and ${toString high} (both inclusive)" (between low high);
    unsigned = checked "unsignedInt" "unsigned integer, meaning >=0" (x: lib.isInt x && x >= 0);
    positive = checked "positiveInt" "positive integer, meaning >0" (x: lib.isInt x && x > 0);
    u8 = checked "unsignedInt8" "8 bit unsigned integer; between 0 and 255 (both inclusive)" (between 0 255);
    u16 = checked "unsignedInt16" "16 bit unsigned integer; between 0 and 65535 (both inclusive)" (between 0 65535);
    u32 = checked "unsignedInt32" "32 bit unsigned integer; between 0 and 4294967295 (both inclusive)" (between 0 4294967295);
  };
  port = ints.u16;

  enum = values: mkOptionType {
    name = "enum";
    description = "one of ${lib.concatMapStringsSep ", " lib.showValue values}";
    check = x: lib.elem x values;
    join = other: if other.name == "enum" then enum (lib.unique (values ++ other.values)) else null;
  } // { inherit values; };

  nullOr = inner: mkOptionType {
    name = "nullOr";
    description = "null or ${inner.description}";
    check = x: x == null || inner.check x;
    emptyValue.value = null;
    merge = loc: defs:
      let nulls = lib.filter (def: def.value == null) defs; in
      if nulls == [ ] then inner.merge loc defs
      else if lib.length nulls == lib.length defs then null
      else throw "The option `${showOption loc}' is defined both null and not null, in ${lib.showFiles (map (def: def.file) defs)}.";
  };

  either = a: b: mkOptionType {
    name = "either";
    description = "${a.description} or ${b.description}";
    check = x: a.check x || b.check x;
    merge = loc: defs:
      if lib.all (def: a.check def.value) defs then a.merge loc defs
      else if lib.all (def: b.check def.value) defs then b.merge loc defs
      else mergeOneOption loc defs;
  };
  oneOf = types: lib.foldl' either (lib.head types) (lib.tail types);
  coercedTo = from: convert: to: mkOptionType {
    name = "coercedTo";
    description = "${to.description} or ${from.description} convertible to it";
    check = x: (from.check x && to.check (convert x)) || to.check x;
    merge = loc: defs: to.merge loc (map (def: def // { value = if from.check def.value then convert def.value else def.value; }) defs);
  };

  listOf = element: mkOptionType {
    name = "listOf";
    description = "list of ${element.description}";
    check = isList;
    emptyValue.value = [ ];
    merge = loc: defs:
      lib.concatLists (lib.imap1 (n: def: concatMap (x: x) (lib.imap1 (m: value:
        let merged = lib.mergeDefinitions (loc ++ [ "[definition ${toString n}-entry ${toString m}]" ]) element [{ inherit (def) file; inherit value; }];
        in lib.optional merged.isDefined merged.value) def.value)) defs);
  };
  nonEmptyListOf = element: listOf element // {
    description = "non-empty list of ${element.description}";
    check = x: isList x && x != [ ];
    emptyValue = { };
  };

  attrsOf = element: mkOptionType {
    name = "attrsOf";
    description = "attribute set of ${element.description}";
    check = isAttrs;
    emptyValue.value = { };
    merge = loc: defs:
      lib.mapAttrs (_: merged: merged.value) (lib.filterAttrs (_: merged: merged.isDefined) (members element loc defs));
    join = other:
      let joined = if other.name == "attrsOf" then element.join other.element else null; in
      if joined == null then null else attrsOf joined;
  } // { inherit element; };
  # The names are known without looking at the conditions on the values.
  lazyAttrsOf = element: attrsOf element // {
    name = "lazyAttrsOf";
    description = "lazy attribute set of ${element.description}";
    merge = loc: defs: lib.mapAttrs (_: merged: merged.value) (members element loc defs);
    join = other: if other.name == "lazyAttrsOf" then lazyAttrsOf element else null;
  };
  submoduleWith = { modules, specialArgs ? { }, shorthandOnlyDefinesConfig ? false, ... }@args: mkOptionType {
    name = "submodule";
    check = x: isAttrs x || lib.isFunction x || builtins.isPath x;
    emptyValue.value = { };
    merge = loc: defs:
      (lib.evalModules {
        inherit specialArgs;
        prefix = loc;
        modules = [{ _file = "<submodule>"; key = "<submodule>"; config._module.args.name = lib.last loc; }] ++ modules
          ++ map (def: {
            _file = def.file;
            imports = [ (if isAttrs def.value && shorthandOnlyDefinesConfig then { config = def.value; } else def.value) ];
          }) defs;
      }).config;
    join = other: if other.name == "submodule" then submoduleWith (args // { modules = modules ++ other.modules; }) else null;
  } // { inherit modules; };
  submodule = module: submoduleWith { modules = lib.toList module; shorthandOnlyDefinesConfig = true; };
  deferredModule = raw;

  functionTo = result: mkOptionType {
    name = "functionTo";
    description = "function that evaluates to a(n) ${result.description}";
    check = lib.isFunction;
    merge = loc: defs: argument: (lib.mergeDefinitions (loc ++ [ "<function body>" ]) result (map (def: def // { value = def.value argument; }) defs)).value;
  };

  uniq = inner: inner // { merge = mergeOneOption; };
  unique = _: uniq;
  addCheck = inner: check: inner // { check = x: inner.check x && check x; };
}

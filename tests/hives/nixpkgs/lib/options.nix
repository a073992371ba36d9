# Declaring options, and the properties that a definition may carry.
{ lib }:
rec {
  mkOption = attrs: attrs // { _type = "option"; };
  isOption = x: lib.isAttrs x && x._type or null == "option";
  mkEnableOption = what: mkOption {
    type = lib.types.bool;
    default = false;
    description = "Whether to enable ${what}.";
  };
  mkPackageOption = pkgs: name: _: mkOption {
    type = lib.types.package;
    default = pkgs.${name};
    description = "The ${name} package to use.";
  };
  literalExpression = text: { _type = "literalExpression"; inherit text; };
  literalExample = literalExpression;
  mdDoc = lib.id;

  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkOverride = priority: content: { _type = "override"; inherit priority content; };
  mkOrder = priority: content: { _type = "order"; inherit priority content; };
  mkOptionDefault = mkOverride 1500;
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;
  mkVMOverride = mkOverride 10;
  mkBefore = mkOrder 500;
  mkAfter = mkOrder 1500;
  mkAssert = condition: message: content: if condition then content else throw message;

  showOption = path: lib.concatMapStringsSep "." (part: if lib.match "[A-Za-z_][A-Za-z0-9_'-]*|<.*>" part != null then part else lib.toJSON part) path;
  showFiles = files: lib.concatMapStringsSep " and " (file: "`${file}'") files;
  showDefs = defs: lib.concatMapStrings (def: "\n- In `${def.file}': ${lib.showValue def.value}") defs;

  mergeEqualOption = loc: defs:
    lib.foldl' (value: def:
      if def.value == value then value
      else throw "The option `${showOption loc}' has conflicting definition values:${showDefs defs}\nUse `lib.mkForce value' or `lib.mkDefault value' to change the priority on any of these definitions.")
      (lib.head defs).value (lib.tail defs);
  mergeOneOption = loc: defs:
    if lib.length defs == 1 then (lib.head defs).value
    else throw "The option `${showOption loc}' is defined multiple times while it's expected to be unique. Definition values:${showDefs defs}";
}

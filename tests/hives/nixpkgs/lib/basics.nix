# Lists, strings and attribute sets.
rec {
  inherit (builtins)
    add all any attrNames attrValues compareVersions concatLists concatMap concatStringsSep deepSeq elem elemAt filter foldl'
    fromJSON genList groupBy hasAttr head isAttrs isBool isInt isList isPath isString length listToAttrs map mapAttrs
    match partition pathExists readFile removeAttrs replaceStrings seq sort split stringLength substring tail toJSON
    toString trace;

  # Functions
  id = x: x;
  const = x: _: x;
  flip = f: a: b: f b a;
  pipe = foldl' (x: f: f x);
  isFunction = f: builtins.isFunction f || (isAttrs f && f ? __functor);
  functionArgs = f: if isAttrs f then f.__functionArgs or (builtins.functionArgs (f.__functor f)) else builtins.functionArgs f;
  importJSON = path: builtins.fromJSON (builtins.readFile path);
  warn = message: builtins.trace "warning: ${message}";
  warnIf = condition: message: if condition then warn message else id;
  throwIf = condition: message: if condition then throw message else id;
  throwIfNot = condition: throwIf (!condition);
  assertMsg = condition: message: condition || throw message;
  min = a: b: if a < b then a else b;
  max = a: b: if a > b then a else b;

  # Lists
  singleton = x: [ x ];
  optional = condition: x: if condition then [ x ] else [ ];
  optionals = condition: xs: if condition then xs else [ ];
  toList = x: if isList x then x else [ x ];
  imap = first: f: xs: genList (n: f (n + first) (elemAt xs n)) (length xs);
  imap0 = imap 0;
  imap1 = imap 1;
  last = xs: elemAt xs (length xs - 1);
  init = xs: genList (elemAt xs) (length xs - 1);
  take = n: xs: genList (elemAt xs) (min n (length xs));
  drop = n: xs: genList (i: elemAt xs (i + n)) (max 0 (length xs - n));
  reverseList = xs: genList (i: elemAt xs (length xs - 1 - i)) (length xs);
  flatten = x: if isList x then concatMap flatten x else [ x ];
  findFirst = pred: fallback: xs:
    let found = filter pred xs;
    in if found == [ ] then fallback else head found;
  unique = foldl' (seen: x: if elem x seen then seen else seen ++ [ x ]) [ ];
  subtractLists = remove: filter (x: !elem x remove);
  intersectLists = keep: filter (x: elem x keep);
  foldr = f: end: xs: foldl' (acc: x: f x acc) end (reverseList xs);
  fold = foldr;
  range = from: to: if from > to then [ ] else genList (n: from + n) (to - from + 1);

  # Strings
  optionalString = condition: text: if condition then text else "";
  concatStrings = concatStringsSep "";
  concatMapStrings = f: xs: concatStrings (map f xs);
  concatMapStringsSep = separator: f: xs: concatStringsSep separator (map f xs);
  concatLines = concatMapStrings (line: line + "\n");
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  hasSuffix = suffix: text:
    let extra = stringLength text - stringLength suffix;
    in extra >= 0 && substring extra (stringLength suffix) text == suffix;
  hasInfix = infix: text: length (splitString infix text) > 1;
  removePrefix = prefix: text: if hasPrefix prefix text then substring (stringLength prefix) (-1) text else text;
  removeSuffix = suffix: text:
    if hasSuffix suffix text then substring 0 (stringLength text - stringLength suffix) text else text;
  escapeRegex = replaceStrings (stringToCharacters "\\[{()^$?*+|.") (map (c: "\\" + c) (stringToCharacters "\\[{()^$?*+|."));
  splitString = separator: text: filter isString (split (escapeRegex separator) text);
  stringToCharacters = text: genList (n: substring n 1 text) (stringLength text);
  toUpper = replaceStrings (stringToCharacters "abcdefghijklmnopqrstuvwxyz") (stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  toLower = replaceStrings (stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ") (stringToCharacters "abcdefghijklmnopqrstuvwxyz");
  trim = text: head (match "[[:space:]]*(.*[^[:space:]])?[[:space:]]*" text);
  escape = characters: replaceStrings characters (map (c: "\\" + c) characters);
  escapeShellArg = x: "'" + replaceStrings [ "'" ] [ "'\\''" ] (toString x) + "'";
  escapeShellArgs = concatMapStringsSep " " escapeShellArg;
  makeBinPath = concatMapStringsSep ":" (package: "${package}/bin");
  boolToString = x: if x then "true" else "false";
  getVersion = package: package.version or "";
  getExe = package: "${package}/bin/${package.meta.mainProgram or package.pname or package.name}";

  # Attribute sets
  nameValuePair = name: value: { inherit name value; };
  mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  concatMapAttrs = f: set: foldl' (acc: more: acc // more) { } (mapAttrsToList f set);
  filterAttrs = pred: set:
    listToAttrs (concatMap (name: optional (pred name set.${name}) (nameValuePair name set.${name})) (attrNames set));
  genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
  optionalAttrs = condition: set: if condition then set else { };
  attrByPath = path: fallback: set:
    if path == [ ] then set
    else if isAttrs set && set ? ${head path} then attrByPath (tail path) fallback set.${head path}
    else fallback;
  hasAttrByPath = path: set: path == [ ] || (isAttrs set && set ? ${head path} && hasAttrByPath (tail path) set.${head path});
  getAttrFromPath = path: attrByPath path (throw "cannot find attribute `${concatStringsSep "." path}'");
  setAttrByPath = path: value: foldr (name: inner: { ${name} = inner; }) value path;
  recursiveUpdate = left: right:
    left // mapAttrs (name: value:
      if isAttrs value && isAttrs (left.${name} or null) then recursiveUpdate left.${name} value else value) right;
  zipAttrsWith = f: sets:
    genAttrs (unique (concatMap attrNames sets)) (name: f name (concatMap (set: optional (set ? ${name}) set.${name}) sets));
  isDerivation = x: isAttrs x && x.type or null == "derivation";
  isStorePath = x: isString x && match "${builtins.storeDir}/[^/]+" (toString x) != null;

  # A value as a person would write it, for error messages.
  showValue = value:
    if isString value then toJSON value
    else if builtins.isPath value then toString value
    else if isDerivation value then "<derivation ${value.name or "?"}>"
    else if isFunction value then "<function>"
    else if isList value then "[ ${concatMapStrings (x: showValue x + " ") value}]"
    else if isAttrs value then "{ ${concatStrings (mapAttrsToList (n: v: "${n} = ${showValue v}; ") value)}}"
    else if value == null then "null"
    else toJSON value;
}

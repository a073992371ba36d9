# Returns `meta` of a hive, checked, with its defaults; morph's and NixOps' files name it `network`. Does not use the
# module system, which comes with the nixpkgs that only `meta` names.
{ raw, fail, warn, ignored ? [ ] }:
let
  inherit (builtins) all attrNames concatStringsSep elem filter isAttrs isBool isList isString mapAttrs removeAttrs substring toString typeOf;

  quoted = names: concatStringsSep ", " (map (name: "`${name}'") names);
  expect = what: test: name: value:
    if test value then value else fail "${word}.${name} must be ${what}, and is a ${typeOf value}.";
  isAbsolute = value: (isString value || typeOf value == "path") && substring 0 1 (toString value) == "/";

  options = {
    name = { default = "hive"; check = expect "a string" isString; };
    description = { default = "A hive"; check = expect "a string" isString; };
    nixpkgs = { default = null; check = _: value: value; };
    nodeNixpkgs = { default = { }; check = expect "an attribute set" isAttrs; };
    specialArgs = { default = { }; check = expect "an attribute set" isAttrs; };
    nodeSpecialArgs = { default = { }; check = expect "an attribute set" isAttrs; };
    machinesFile = { default = null; check = expect "an absolute path or null" (value: value == null || isAbsolute value); };
    allowApplyAll = { default = true; check = expect "a boolean" isBool; };
    recoveryRecipients = {
      default = [ ];
      check = expect "a list of public keys (age1… or ssh-ed25519 AAAA…)" (value: isList value && all isString value);
    };
  };

  # The other attributes that morph and NixOps have there, which configure these tools and not the nodes.
  ofOthers = [
    "buildShell" "enableRollback" "evalConfig" "lib" "lock" "locking" "nixConfig" "ordering" "runCommand" "runGarbageCollection" "storage"
  ];
  # The file's name for it.
  word = if raw ? network then "network" else "meta";

  written =
    if raw ? network then
      let
        network = if isAttrs raw.network then raw.network else fail "network must be an attribute set, and is a ${typeOf raw.network}.";
        unused = map (name: "network.${name}") (filter (name: elem name ofOthers) (attrNames network)) ++ ignored;
        # morph's name for it
        pkgs = if network ? pkgs && !(network ? nixpkgs) then { nixpkgs = network.pkgs; } else { };
      in
      (if unused == [ ] then written: written else warn "${concatStringsSep ", " unused} ${if builtins.length unused == 1 then "is" else "are"} not used.")
        (removeAttrs network (ofOthers ++ [ "pkgs" ]) // pkgs)
    else raw.meta or { };

  unknown = filter (name: !(options ? ${name})) (attrNames written);
in
if raw ? meta && raw ? network then fail "it has both `meta' and `network', which are two names for the same option: keep one."
else if !isAttrs written then fail "meta must be an attribute set, and is a ${typeOf written}."
else if unknown != [ ] then
  fail "the option ${quoted (map (name: "${word}.${name}") unknown)} does not exist; there are ${quoted (attrNames options)}."
else mapAttrs (name: option: option.check name (written.${name} or option.default)) options

# Returns a hive's attribute set, from any of the forms that a hive may be written in. `fail` throws a sentence.
{ fail }:
let
  inherit (builtins) attrNames concatStringsSep filter functionArgs isAttrs isFunction typeOf;

  required = arguments: filter (name: !arguments.${name}) (attrNames arguments);
  quoted = names: concatStringsSep ", " (map (name: "`${name}'") names);

  call = value:
    let
      isFunctor = isAttrs value && value ? __functor;
      arguments = functionArgs (if isFunctor then value.__functor value else value);
    in
    if isFunction value || isFunctor then
      if required arguments == [ ] then call (value { })
      else fail "it is a function that requires ${quoted (required arguments)}: give each argument a default, because Waggle passes none."
    else if isAttrs value then value
    else fail "it must be an attribute set with one attribute for each node, and is a ${typeOf value}.";
in
call

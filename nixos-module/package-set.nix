# Returns a package set, from any of the forms that meta.nixpkgs and meta.nodeNixpkgs may have. `what` names the option.
{ fail }: what: value:
let
  inherit (builtins) isAttrs isFunction isString typeOf;

  # Evaluation is pure exactly when there is no current system. Any other form would be turned into a package set for
  # that system.
  pure = !(builtins ? currentSystem);
  arguments = { overlays = [ ]; };

  isPackageSet = isAttrs value && value ? lib && value ? path;
  isFolder = typeOf value == "path" || isString value || (isAttrs value && value ? outPath && !isPackageSet);
  form = if isFolder then "a path" else "a function";
in
if isPackageSet then value
else if value == null then
  if pure then fail "${what} must be set to a package set: <nixpkgs> does not exist in a flake." else import <nixpkgs> arguments
else if !isFolder && !isFunction value then
  fail "${what} must be a path, a function or a package set, and is a ${if isAttrs value then "set of something else" else typeOf value}."
else if pure then
  fail "${what} must be set to a package set and is ${form}, which does not define the platform: write `import nixpkgs { system = \"x86_64-linux\"; }'."
else if isFolder then import value arguments
else value arguments

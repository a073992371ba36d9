# Returns the hive of a file or a flake, in whichever form it is written, with the attributes that hive.nix returns.
#
#   import ./source.nix { path = /abs/hive.nix; }
#   import ./source.nix { flake = builtins.getFlake "…"; shown = "/abs"; output = "colmena"; }
#   import ./source.nix { tree = builtins.fetchTree { … }; dir = "the/flake's"; … }
#
# `output` is null for the first output that exists.
{ path ? null
, shown ? toString path
, tree ? null
, dir ? null
, flake ? if tree == null then null else import ./flake-in-folder.nix { inherit tree dir; }
, output ? null
}:
let
  inherit (builtins) concatStringsSep elem elemAt filter foldl' hasAttr head intersectAttrs isAttrs isString length pathExists split substring typeOf;

  fail = sentence: throw "${shown}: ${sentence}";
  warn = builtins.warn or (sentence: builtins.trace "warning: ${sentence}");

  known = [ "waggleHive" "colmenaHive" "colmena" "deploy" "nixosConfigurations" ];
  outputs = flake.outputs or flake;
  isHive = name: hasAttr name outputs && (name != "deploy" || outputs.deploy ? nodes);
  there = filter isHive known;
  chosen =
    if output != null then output
    else if there != [ ] then head there
    else fail ("the flake has none of the outputs ${concatStringsSep ", " known}"
      + (if pathExists (flake + "/hive.nix") then "; to use the hive.nix in its folder, name the file with -f." else "."));
  words = filter isString (split "[.]" chosen);
  inFlake = foldl'
    (set: word: if isAttrs set && hasAttr word set then set.${word} else fail "the flake has no output `${chosen}'.")
    outputs
    words;

  value = import ./call-hive.nix { inherit fail; } (if flake != null then inFlake else import path);
  schema = if value ? __schema then (if isString value.__schema then value.__schema else "of type ${typeOf value.__schema}") else null;

  made = meta: configurations: import ./hive.nix { inherit shown; made = { inherit meta configurations; }; };
in
if schema == "waggle/1" then value
else if schema != null && substring 0 3 schema == "v0." && value ? nodes && value ? metaConfig then
  # The hive is made by Colmena's makeHive. Its nodes have only those of our modules that the hive imports.
  made (intersectAttrs { name = null; description = null; machinesFile = null; allowApplyAll = null; } value.metaConfig) value.nodes
else if schema != null then fail "its makeHive is of a version that this trigger does not know (${schema})."
else if flake != null && elem chosen [ "deploy" "deploy.nodes" ] then
  made { } (import ./deploy-rs.nix { inherit fail warn; } { inherit (outputs) deploy; nixosConfigurations = outputs.nixosConfigurations or { }; })
else if flake != null && elemAt words (length words - 1) == "nixosConfigurations" then made { } value
else import ./hive.nix { hive = value; folder = if flake != null then flake.outPath else dirOf path; inherit shown; }

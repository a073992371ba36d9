# Evaluates a flake as builtins.getFlake does, but in a folder of a tree that is a store path, which no flake reference
# can name in Nix 2.8. `tree` is the result of builtins.fetchTree. Inputs that the flake's lock file lacks are missing.
{ tree, dir }:
let
  inherit (builtins) fromJSON head isList isString mapAttrs pathExists readFile removeAttrs substring tail;

  root = "${tree}/${dir}";
  lock =
    if pathExists (root + "/flake.lock") then fromJSON (readFile (root + "/flake.lock"))
    else { root = "root"; nodes.root = { }; };

  # An input is a node of the lock file, or the path to one from the root.
  nodeAt = input: if isList input then walk lock.root input else input;
  walk = node: way: if way == [ ] then node else walk (nodeAt lock.nodes.${node}.inputs.${head way}) (tail way);

  isRelative = locked: locked.type or "" == "path" && isString locked.path && substring 0 1 locked.path != "/";
  sourceOf = name: node:
    if name == lock.root then tree
    else if isRelative node.locked then
      let
        parent = walk lock.root (node.parent or [ ]);
        base = sources.${parent};
        folder = if parent == lock.root then dir else lock.nodes.${parent}.locked.dir or "";
      in
      base // { outPath = "${base}/${folder}/${node.locked.path}"; }
    else builtins.fetchTree (removeAttrs node.locked [ "dir" ]);
  sources = mapAttrs sourceOf lock.nodes;

  flakes = mapAttrs
    (name: node:
      let
        sourceInfo = sources.${name};
        folder = if name == lock.root then dir else node.locked.dir or "";
        outPath = if folder == "" then sourceInfo.outPath else "${sourceInfo}/${folder}";
        inputs = mapAttrs (_: input: flakes.${nodeAt input}) (node.inputs or { });
        outputs = (import "${outPath}/flake.nix").outputs (inputs // { inherit self; });
        self = outputs // sourceInfo // { inherit outPath inputs outputs sourceInfo; _type = "flake"; };
      in
      if node.flake or true then self else sourceInfo)
    lock.nodes;
in
flakes.${lock.root}

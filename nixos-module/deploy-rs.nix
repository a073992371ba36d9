# Returns the nodes of a deploy-rs flake as evaluated NixOS configurations: for each of `deploy.nodes`, the
# configuration that its profile `system` activates, with the host and the user by which deploy-rs reaches it.
# Format: https://github.com/serokell/deploy-rs/blob/master/interface.json
#
#   import ./deploy-rs.nix { inherit fail warn; } { deploy, nixosConfigurations }
{ fail, warn }:
{ deploy, nixosConfigurations }:
let
  inherit (builtins) attrNames concatStringsSep elem filter getContext hasAttr head listToAttrs partition removeAttrs toJSON unsafeDiscardStringContext;

  quoted = names: concatStringsSep ", " (map (name: "`${name}'") names);

  when = condition: sentence: if condition then [ sentence ] else [ ];

  split = partition (name: deploy.nodes.${name} ? profiles.system) (attrNames deploy.nodes);
  others = filter (name: removeAttrs deploy.nodes.${name}.profiles [ "system" ] != { }) split.right;
  names = builtins.foldl' (all: sentence: warn sentence all) split.right (
    when (split.wrong != [ ]) "deploy.nodes: skipping ${quoted split.wrong}: no profile `system'."
    ++ when (others != [ ]) "deploy.nodes: only the profile `system' of a node is deployed; other profiles are declared for ${quoted others}."
  );

  # A profile is the system itself, or a derivation that has the system as an input.
  activates = profile: configuration:
    hasAttr (unsafeDiscardStringContext configuration.config.system.build.toplevel.drvPath)
      (getContext (toJSON (profile.drvAttrs or { }) + (profile.drvPath or "")));

  configurationOf = name: node:
    let
      # A configuration of the same name is usually the right one, and evaluating a system takes long.
      likely = filter (other: hasAttr other nixosConfigurations) [ name node.hostname ];
      rest = filter (other: !(elem other likely)) (attrNames nixosConfigurations);
      found = filter (other: activates node.profiles.system.path nixosConfigurations.${other}) (likely ++ rest);
    in
    if found == [ ] then
      fail ("`deploy.nodes.${name}.profiles.system.path' activates none of the flake's nixosConfigurations: "
        + "Waggle reads from the configuration there whether the node has an agent.")
    else nixosConfigurations.${head found};

  # A profile's setting takes precedence over its node's, and that over the setting for all nodes.
  setting = name: default: levels:
    let found = filter (hasAttr name) levels; in
    if found == [ ] then default else (head found).${name};

  nodeOf = name:
    let
      node = deploy.nodes.${name};
      configuration = configurationOf name node;
      levels = [ node.profiles.system node deploy ];
    in
    configuration // {
      config = configuration.config // {
        deployment = configuration.config.deployment or { } // {
          targetHost = node.hostname;
          targetUser = setting "sshUser" null levels;
          buildOnTarget = setting "remoteBuild" false levels;
        };
      };
    };
in
listToAttrs (map (name: { inherit name; value = nodeOf name; }) names)

# The text of docs/reference/options.md: every option of our modules, as <nixpkgs> evaluates them for a node of a hive.
let
  lib = import <nixpkgs/lib>;
  inherit (lib) concatMapStrings concatStringsSep isString optionalString;
  node = (import ../../../nixos-module/hive.nix { hive.node = { }; }).configurations.node;

  visible = option: !(option.internal or false) && (option.visible or true) == true;
  # The options in a set and in their submodules, each with its name as in NixOS's manual: an element of a list is `*`,
  # one of an attribute set `<name>`.
  optionsIn = prefix: set:
    lib.concatLists (lib.mapAttrsToList
      (attribute: value:
        let name = "${prefix}.${attribute}"; in
        if !lib.isOption value then optionsIn name value
        else lib.optionals (visible value) ([ { inherit name; option = value; } ] ++ inSubmodule name value.type))
      set);
  inSubmodule = name: type:
    optionsIn
      (if type.name == "attrsOf" then "${name}.<name>" else if type.name == "listOf" then "${name}.*" else name)
      (removeAttrs (type.getSubOptions [ ]) [ "_module" ]);

  # Each on one line: the test wraps them.
  paragraphs = text:
    concatStringsSep "\n\n" (map (lib.replaceStrings [ "\n" ] [ " " ]) (lib.splitString "\n\n" (lib.removeSuffix "\n" text)));
  shown = value: lib.generators.toPretty { multiline = false; } value;
  code = text: if lib.hasInfix "`" text then "`` ${text} ``" else "`${text}`";
  default = option:
    if isString (option.defaultText or null) then option.defaultText
    else if option ? defaultText then code option.defaultText.text
    else code (shown option.default);

  describe = { name, option }: ''

    ### `${name}`

    ${paragraphs (option.description or (throw "${name} has no description"))}

    - Type: ${option.type.description}
  '' + optionalString (option ? default || option ? defaultText) ''
    - Default: ${default option}
  '' + optionalString (option ? example) ''
    - Example: ${code (shown option.example)}
  '';
in
''
  # Options

  The options that Waggle declares for each node. This page is generated from the modules:
  `WAGGLE_UPDATE_DOCS=1 ctest --test-dir build/dev -R nixos_24_11_options` writes it.
  [hives.md](hives.md) describes `meta`, the settings of a hive itself.

  ## The agent
'' + concatMapStrings describe (optionsIn "services.waggle-agent" node.options.services.waggle-agent) + ''

  ## What the trigger needs to know about a node
'' + concatMapStrings describe (optionsIn "deployment" node.options.deployment)

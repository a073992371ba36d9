# Checks deployment.keys. Returns a list of sentences, empty if there is no problem. shared/protocol/secret_file.cpp has
# the same rules.
{ lib }:
{ keys, users }:
let
  inherit (builtins) attrNames attrValues concatMap elem elemAt filter genList length match stringLength;

  matches = pattern: text: match pattern text != null;
  refuse = condition: sentence: lib.optional condition sentence;

  # Up to 31 characters, because utmp cannot hold more.
  isAccount = name: matches "[A-Za-z0-9_][A-Za-z0-9_.-]{0,30}" name && !matches "[0-9]+" name;
  isUnit = matches "[A-Za-z0-9:_.@\\\\][A-Za-z0-9:_.@\\\\-]*[.](service|socket|target|timer|path|mount|scope|slice|swap)";
  isPath = path:
    matches "(/[A-Za-z0-9._@:+,=~-]+){2,}" path && !matches ".*/[.][.]?(/.*)?" path && stringLength path <= 512
    && !matches "(/nix/store|/proc|/sys|/dev)(/.*)?" path;

  known = accounts: name: name == "root" || lib.any (account: account.name == name) (attrValues accounts);

  account = kind: accounts: name:
    refuse (!isAccount name)
      ("${kind} is \"${name}\", which is no ${kind}'s name: up to 31 letters, digits, '_', '.' and '-', the first a letter, digit or "
        + "'_', and not a number.")
    ++ refuse (isAccount name && !known accounts name)
      "${kind} is \"${name}\", and there is no users.${kind}s.${name} in this configuration.";

  one = name:
    let
      key = keys.${name};
      sources = filter (source: key.${source} != null) [ "text" "keyFile" "keyCommand" ];
      needed = key.neededForUsers or false;
    in
    map (sentence: "deployment.keys.${name}: ${sentence}") (
      refuse (!matches "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}" name)
        "its name cannot be part of a unit's: letters, digits, '_', '.' and '-', at most 128; the file's name is an option of its own."
      ++ refuse (sources == [ ]) "one of text, keyFile and keyCommand must be set."
      ++ refuse (length sources > 1) "${lib.concatStringsSep " and " sources} are set, and only one of them can be."
      ++ refuse (matches ".*/.*" key.name || elem key.name [ "" "." ".." ]) "name is \"${key.name}\", which is not a file's name."
      ++ refuse (!isPath (toString key.path))
        ("its path is \"${toString key.path}\": it must be plain (letters, digits and / . _ @ : + , = ~ -), absolute, in a folder, "
          + "and not in /nix/store, /proc, /sys or /dev.")
      ++ refuse (!matches "0?[0-7]{3}" key.permissions) "permissions is \"${key.permissions}\", which is not three octal digits, as in \"0640\"."
      ++ account "user" users.users key.user
      ++ account "group" users.groups key.group
      ++ concatMap (unit: refuse (!isUnit unit) "\"${unit}\" is not a unit's name, such as nginx.service.")
        ((key.restartUnits or [ ]) ++ (key.reloadUnits or [ ]))
      ++ refuse (needed && (key.user != "root" || key.group != "root"))
        "neededForUsers is set: it is written before there are other users, so user and group must be root."
      ++ refuse (needed && key.uploadAt != "pre-activation")
        "neededForUsers is set: it is written before the activation, so uploadAt cannot be \"post-activation\"."
    );

  names = attrNames keys;
  paths = map (name: toString keys.${name}.path) names;
  pairs = concatMap (i: map (j: { a = elemAt names i; b = elemAt names j; x = elemAt paths i; y = elemAt paths j; }) (lib.range 0 (length names - 1)))
    (genList (i: i) (length names));
in
concatMap one names
++ refuse (length names > 500) "deployment.keys has ${toString (length names)} secrets, and a node takes 500 at most."
++ concatMap
  (pair:
    refuse (pair.a < pair.b && pair.x == pair.y) "deployment.keys: ${pair.a} and ${pair.b} have the same path, ${pair.x}."
    ++ refuse (lib.hasPrefix "${pair.x}/" pair.y) "deployment.keys: ${pair.a} (${pair.x}) is in the way of ${pair.b} (${pair.y}).")
  pairs

# Warns about restartUnits and reloadUnits that are neither the name nor an alias of a unit of the system. Checks only
# the kinds of units that modules define, because mounts may come from fstab. Units of packages (systemd.packages) and
# systemd's own cannot be seen from here, so this does not warn if one of those may exist.
{ lib }:
{ keys, systemd }:
let
  inherit (builtins) attrNames concatMap elem filter hasAttr head match;

  units = systemd.units or { };
  aliases = concatMap (name: units.${name}.aliases or [ ]) (attrNames units);
  template = name: let parts = match "([^@]+@)[^@]*([.][a-z]+)" name; in if parts == null then name else head parts + lib.last parts;
  isKnown = name: hasAttr name units || elem name aliases || elem name (systemd.additionalUpstreamSystemUnits or [ ]);
  isChecked = name: match ".*[.](service|socket|timer|path)" name != null && !lib.hasPrefix "systemd-" name && !lib.hasPrefix "dbus" name;

  missing = filter (name: isChecked name && !isKnown name && !isKnown (template name));
  one = name: option: map
    (unit: "deployment.keys.${name}: ${option} names ${unit}, and no module of this configuration defines a unit of that name: it is restarted only if a package brings it.")
    (missing (keys.${name}.${option} or [ ]));
in
concatMap (name: one name "restartUnits" ++ one name "reloadUnits") (attrNames keys)

# The options that Colmena declares of a node.
{ name, lib, ... }:
let
  option = type: default: lib.mkOption { inherit type default; };
  inherit (lib.types) attrsOf bool enum listOf nullOr path str submodule;
in
{
  options.deployment = {
    targetHost = option (nullOr str) name;
    targetPort = option (nullOr lib.types.ints.unsigned) null;
    targetUser = option (nullOr str) "root";
    allowLocalDeployment = option bool false;
    buildOnTarget = option bool false;
    tags = option (listOf str) [ ];
    replaceUnknownProfiles = option bool true;
    privilegeEscalationCommand = option (listOf str) [ "sudo" "-H" "--" ];
    sshOptions = option (listOf str) [ ];
    keys = option
      (attrsOf (submodule ({ name, config, ... }: {
        options = {
          name = option str name;
          text = option (nullOr str) null;
          keyFile = option (nullOr path) null;
          keyCommand = option (nullOr (listOf str)) null;
          destDir = option path "/run/keys";
          path = option path "${config.destDir}/${config.name}";
          user = option str "root";
          group = option str "root";
          permissions = option str "0600";
          uploadAt = option (enum [ "pre-activation" "post-activation" ]) "pre-activation";
        };
      })))
      { };
  };
}

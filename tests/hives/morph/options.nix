# The options that morph declares of a node.
{ lib, ... }:
let
  option = type: default: lib.mkOption { inherit type default; };
  required = type: lib.mkOption { inherit type; };
  inherit (lib.types) attrsOf bool enum int listOf nullOr path str submodule;

  common = { period = option int 2; timeout = option int 5; description = required str; };
  checks = option (submodule { options = {
    cmd = option (listOf (submodule { options = common // { cmd = option (nullOr (listOf str)) null; }; })) [ ];
    http = option (listOf (submodule { options = common // {
      host = option (nullOr str) null;
      scheme = option str "http";
      port = required int;
      path = option path "/";
      headers = option (attrsOf str) { };
      insecureSSL = option bool false;
    }; })) [ ];
  }; }) { };
  secret = submodule { options = {
    source = required str;
    destination = required str;
    owner = { user = option str "root"; group = option str "root"; };
    permissions = option str "0400";
    action = option (listOf str) [ ];
    mkDirs = option bool true;
    uploadAt = option (enum [ "pre-activation" "post-activation" ]) "pre-activation";
  }; };
in
{
  options.deployment = {
    targetHost = option str "";
    targetPort = option (nullOr int) null;
    targetUser = option str "";
    buildOnly = option bool false;
    substituteOnDestination = option bool false;
    tags = option (listOf str) [ ];
    secrets = option (attrsOf secret) { };
    healthChecks = checks;
    preDeployChecks = checks;
  };
}

# A stand-in for what Colmena adds to a node with deployment.keys: for each a path unit and a service of these names, which waits
# until the file is there and ends when it goes.
{ config, lib, ... }:
{
  systemd.paths = lib.mapAttrs' (name: key: lib.nameValuePair "${name}-key" {
    wantedBy = [ "paths.target" ];
    pathConfig.PathExists = toString key.path;
  }) config.deployment.keys;

  systemd.services = lib.mapAttrs' (name: key: lib.nameValuePair "${name}-key" {
    serviceConfig = { Restart = "always"; RestartSec = "100ms"; TimeoutStartSec = "infinity"; };
    preStart = "until [ -e ${toString key.path} ]; do sleep 1; done";
    script = "while [ -e ${toString key.path} ]; do sleep 1; done";
  }) config.deployment.keys;
}

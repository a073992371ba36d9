# A file server with a nightly backup.
{ config, ... }:
{
  services.nfs.server = {
    enable = true;
    exports = "/srv/files 10.0.0.0/24(rw)";
    createMountPoints = true;
  };
  networking.firewall.allowedTCPPorts = [ 2049 ];

  services.restic.backups.files = {
    paths = [ "/srv/files" ];
    repository = "sftp:backup@backup.example.org:/srv/files1";
    passwordFile = config.deployment.keys.restic.path;
    timerConfig.OnCalendar = "03:00";
  };

  # `waggle` runs this command on the laptop, without a shell. Its output is the secret.
  deployment.keys.restic.keyCommand = [ "pass" "show" "fleet/restic" ];

  deployment.healthChecks.cmd = [
    {
      description = "the NFS server runs";
      cmd = [ "systemctl" "is-active" "nfs-server.service" ];
    }
  ];

  # Any other unit that fails in a deployment makes the node roll back. The failure of a backup is
  # only reported.
  deployment.rollback.ignoreUnits = [ "restic-backups-*.service" ];
}

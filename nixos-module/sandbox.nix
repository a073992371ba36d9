# The restrictions in serviceConfig of the agent's own units: they remove what none of these units needs.
# agent/units/sandbox.cpp has the same for the units that the agent starts.
{
  LimitCORE = 0; # the node's private key, or secrets, are in memory
  UMask = "0077";
  AmbientCapabilities = "";
  NoNewPrivileges = true;
  # There is no PrivateUsers: owners are the node's users, and systemd and the nix daemon must see root.
  PrivateDevices = true;
  ProtectClock = true;
  ProtectControlGroups = true;
  ProtectHostname = true;
  ProtectKernelLogs = true;
  ProtectKernelModules = true;
  ProtectKernelTunables = true;
  # There is no ProcSubset=pid, because /proc/sys/kernel/random/boot_id distinguishes one boot from the next.
  ProtectProc = "invisible";
  RestrictNamespaces = true;
  RestrictRealtime = true;
  RestrictSUIDSGID = true;
  KeyringMode = "private";
  LockPersonality = true;
  MemoryDenyWriteExecute = true;
  SystemCallArchitectures = "native";
  SystemCallErrorNumber = "EPERM";
}

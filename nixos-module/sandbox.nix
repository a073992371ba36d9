# Restrictions of the agent's own units, in serviceConfig: what none of them needs. agent/units/sandbox.cpp has the same for the units
# that the agent starts.
{
  LimitCORE = 0; # the node's private key, or secrets, are in memory
  UMask = "0077";
  AmbientCapabilities = "";
  NoNewPrivileges = true;
  # No PrivateUsers: owners are the node's users, and systemd and the nix daemon must see root.
  PrivateDevices = true;
  ProtectClock = true;
  ProtectControlGroups = true;
  ProtectHostname = true;
  ProtectKernelLogs = true;
  ProtectKernelModules = true;
  ProtectKernelTunables = true;
  # No ProcSubset=pid: /proc/sys/kernel/random/boot_id tells one boot from the next.
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

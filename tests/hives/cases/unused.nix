# Options that say how Colmena's SSH sessions work.
{
  defaults.deployment = { sshOptions = [ "-4" ]; privilegeEscalationCommand = [ "doas" ]; allowLocalDeployment = true; };
  host-a.deployment = { targetUser = null; };
  host-b.deployment = { targetUser = "deploy"; agent.via = "ssh"; };
}

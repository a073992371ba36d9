# A node for each thing that cannot be.
{
  defaults = ./machine.nix;
  command-string.deployment.keys.k.keyCommand = "hostname";
  command-empty.deployment.keys.k.keyCommand = [ ];
  two-sources.deployment.keys.k = { text = "x"; keyCommand = [ "hostname" ]; };
  no-source.deployment.keys.k = { };
  slash.deployment.keys."../k".text = "x";
  upload-at.deployment.keys.k = { text = "x"; uploadAt = "whenever"; };
}

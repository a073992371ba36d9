# All that a node needs to be deployed by Waggle: the agent, and the keys of those who may deploy.
{ lib, pkgs, ... }:
{
  services.openssh.enable = true; # its host key is the node's identity

  services.waggle-agent = {
    enable = true;
    operators =
      if builtins.pathExists ./operators.nix then import ./operators.nix
      else throw ''
        tests/hives/demo/operators.nix is missing. It lists who may deploy, for example
          [ "ssh-ed25519 AAAA… you@laptop" ]
        `./dev demo` writes it with a key made for the occasion.'';

    # With the flake this line is not needed: its module brings the package. Here it is the program that was just built.
    package = import ./agent-package.nix { inherit lib pkgs; };
  };
}

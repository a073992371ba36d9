# A package of the waggle-agent that was built outside Nix, found in ./agent-binary.nix (a file that holds its path) or
# else by the environment variable WAGGLE_AGENT_BINARY.
{ lib, pkgs }:
let
  binary =
    if builtins.pathExists ./agent-binary.nix then toString (import ./agent-binary.nix)
    else builtins.getEnv "WAGGLE_AGENT_BINARY";
in
if binary == "" then throw "set WAGGLE_AGENT_BINARY to the path of a built waggle-agent"
else derivation {
  name = "waggle-agent";
  inherit (pkgs.stdenv.hostPlatform) system;
  builder = "/bin/sh";
  args = [ "-euc" ''
    mkdir -p $out/bin
    strip -o $out/bin/waggle-agent $binary || cp $binary $out/bin/waggle-agent
    chmod 0555 $out/bin/waggle-agent
  '' ];
  PATH = "/usr/bin:/bin";
  binary = builtins.path { path = binary; name = "waggle-agent-binary"; };
}

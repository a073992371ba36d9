{
  description = "What a flake needs of deploy-rs, for Waggle's tests";
  # As there, a profile is a derivation that links to what it activates, which buildEnv names in JSON.
  outputs = { self }: {
    lib.x86_64-linux.activate = rec {
      custom = base: activate: derivation {
        name = "activatable-${base.name}";
        system = "x86_64-linux";
        builder = "/bin/sh";
        args = [ "-c" "echo ${activate} >$out" ];
        pkgs = builtins.toJSON [ { paths = [ base ]; priority = 5; } ];
      };
      nixos = base: custom base.config.system.build.toplevel "$PROFILE/bin/switch-to-configuration switch";
    };
  };
}

# A test in NixOS's own framework: a laptop deploys to a machine, which rolls back on its own, keeps its secret across a
# reboot, and boots a system once before it keeps it. `nix build .#checks.x86_64-linux.vm-deploy` runs it; that needs
# KVM, and a network for the build.
{ lib, hostPkgs, ... }:
let
  system = hostPkgs.stdenv.hostPlatform.system;
  source = builtins.path { path = ../..; name = "waggle"; filter = path: _: !(builtins.elem (baseNameOf path) [ ".git" "build" "result" ]); };
  nixpkgs = hostPkgs.path;
  variants = [ "one" "two" "broken" "unreachable" ];
  systemOf = variant:
    let hive = import ../hive.nix { hive = import ./hive.nix { inherit nixpkgs system variant; }; };
    in hive.configurations.target.config.system.build.toplevel;
in
{
  name = "waggle-deploy";

  nodes.laptop = { pkgs, ... }: {
    environment.systemPackages = [ (pkgs.callPackage ../../package.nix { }) ];
    # The store has what the laptop deploys, with its derivations, so that the trigger finds them built, and with the
    # files that it evaluates.
    virtualisation.additionalPaths = lib.concatMap (variant: let toplevel = systemOf variant; in [ toplevel toplevel.drvPath ]) variants
      ++ [ "${source}" "${nixpkgs}" ];
    virtualisation.writableStore = true;
    virtualisation.memorySize = 3072;
    nix.settings = { substituters = lib.mkForce [ ]; experimental-features = [ "nix-command" "flakes" ]; };
    environment.etc."hive/hive.nix".text = ''
      import ${source}/nixos-module/tests/hive.nix {
        nixpkgs = ${nixpkgs};
        system = "${system}";
        variant = import /etc/hive/variant.nix;
      }
    '';
    environment.etc."operator" = { source = ./keys/operator; mode = "0600"; };
  };

  nodes.target = { imports = [ ./target.nix ../agent.nix ../deployment.nix ../colmena-options.nix ../colmena-keys.nix ../keys-options.nix ]; };

  testScript = ''
    def waggle(command, variant):
        laptop.succeed(f"echo '\"{variant}\"' > /etc/hive/variant.nix")
        return laptop.execute(f"waggle {command} -f /etc/hive/hive.nix --identity /etc/operator 2>&1 | tee /dev/console; exit ''${{PIPESTATUS[0]}}", timeout=600)

    def word():
        return target.succeed("cat /etc/word").strip()

    def secret_is_in_place():
        assert target.succeed("cat /run/keys/token") == "honey"
        assert target.succeed("stat -c '%U:%G %a' /run/keys/token").strip() == "web:keys 440"

    start_all()
    laptop.wait_for_unit("multi-user.target")
    target.wait_for_unit("waggle-agent.service")
    target.wait_for_open_port(9244)

    with subtest("a deployment, with its secret"):
        status, out = waggle("apply", "one")
        assert status == 0, out
        assert word() == "one"
        secret_is_in_place()

    with subtest("a system whose unit fails is rolled back"):
        status, out = waggle("apply", "broken")
        assert status == 6, out
        assert "broken.service" in out, out
        assert word() == "one"

    with subtest("so is one that nobody can reach"):
        status, out = waggle("apply", "unreachable")
        assert status == 6, out
        assert word() == "one"
        target.wait_for_open_port(9244)

    with subtest("after a reboot the system and its secret are there, without the laptop"):
        laptop.block()
        target.shutdown()
        target.start()
        target.wait_for_unit("multi-user.target")
        assert word() == "one"
        secret_is_in_place()
        laptop.unblock()

    with subtest("a deployment by a reboot"):
        status, out = waggle("apply --reboot", "two")
        assert status == 0, out
        assert word() == "two"
        secret_is_in_place()
  '';
}

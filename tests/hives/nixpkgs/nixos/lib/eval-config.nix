# Evaluates a list of NixOS modules to a system, like the file of this name in nixpkgs.
{ system ? builtins.currentSystem or null
, modules
, pkgs ? null
, lib ? import ../../lib
, baseModules ? import ../modules/module-list.nix
, specialArgs ? { }
, extraArgs ? { }
, prefix ? [ ]
, check ? true
, ...
}:
let
  callerModule = { lib, ... }: {
    _file = ./eval-config.nix;
    key = ./eval-config.nix;
    config = {
      nixpkgs.system = lib.mkIf (system != null) (lib.mkDefault system);
      nixpkgs.pkgs = lib.mkIf (pkgs != null) (lib.mkDefault pkgs);
      _module.args = { inherit (evaluated) extendModules; } // extraArgs;
      _module.check = lib.mkDefault check;
    };
  };
  evaluated = lib.evalModules {
    inherit prefix;
    modules = baseModules ++ [ callerModule ] ++ modules;
    specialArgs = { modulesPath = toString ../modules; } // specialArgs;
  };
in evaluated // { inherit (evaluated._module.args) pkgs; inherit lib; }

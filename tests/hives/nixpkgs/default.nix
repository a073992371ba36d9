# A small stand-in for nixpkgs, for Waggle's tests: it has nixpkgs' shape (arguments, lib, nixos/lib/eval-config.nix) and
# enough inside to evaluate and build the systems of Debian test nodes, with /bin/sh and without a network.
# Real nixpkgs takes its place with WAGGLE_TEST_NIXPKGS.
{ system ? builtins.currentSystem, localSystem ? { inherit system; }, overlays ? [ ], config ? { }, ... }:
let
  lib = import ./lib;
  packages = import ./packages.nix { inherit lib overlays config; system = localSystem.system or localSystem; };
  withOverlay = previous: overlay: final:
    let before = previous final; in before // overlay final before;
  build = lib.foldl' withOverlay packages overlays;
  pkgs = build pkgs;
in pkgs

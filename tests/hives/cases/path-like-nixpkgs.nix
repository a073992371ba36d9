# As a pin in a set has it.
{ meta.nixpkgs = { outPath = <nixpkgs>; }; defaults = ./machine.nix; host-a = { }; }

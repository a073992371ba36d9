{
  meta = {
    name = "fleet";
    description = "Everything that can be said";
    nixpkgs = <nixpkgs>;
    nodeNixpkgs.host-a = import <nixpkgs>;
    specialArgs = { };
    nodeSpecialArgs.host-a = { };
    machinesFile = ./machines;
    allowApplyAll = false;
  };
  host-a = { };
}

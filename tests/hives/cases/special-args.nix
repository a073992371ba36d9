{
  meta.specialArgs = { undersea = "forest"; tree = ./machine.nix; };
  meta.nodeSpecialArgs.host-b.undersea = "reef";
  # Imports may depend on them, as they may not on other arguments.
  defaults = { undersea, tree, ... }: { imports = [ tree ]; deployment.tags = [ undersea ]; };
  host-a = { };
  host-b = { };
}

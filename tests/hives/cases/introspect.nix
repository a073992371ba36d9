{
  meta.nixpkgs = import <nixpkgs> { };
  meta.description = "for `waggle eval`";
  host-a = { deployment.tags = [ "a-tag" ]; };
  host-b = { name, nodes, ... }: { deployment.tags = [ "b-tag" name ]; };
}

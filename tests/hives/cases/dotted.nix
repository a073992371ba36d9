{
  defaults = ./machine.nix;
  "alpha.example.org".deployment.tags = [ "web" "eu.west" ];
  "beta.example.org".deployment.tags = [ "web-canary" ];
  "gamma.tld" = { name, ... }: { deployment.tags = [ "db" name ]; };
}

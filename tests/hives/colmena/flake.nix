{
  description = "What a hive's flake needs of Colmena's, for Waggle's tests";
  outputs = { self }: { lib.makeHive = import ./make-hive.nix; };
}

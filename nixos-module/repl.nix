# What `waggle repl` begins with; hive: what hive.nix makes of the hive.
{ hive }: hive.introspect (arguments: arguments)

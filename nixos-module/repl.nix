# What `waggle repl` starts with; `hive` is the result of hive.nix.
{ hive }: hive.introspect (arguments: arguments)

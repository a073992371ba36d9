{ "host/a" = { }; }

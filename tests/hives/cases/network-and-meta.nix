{ network = { }; meta = { }; host-a = { }; }

{ meta.noSuchOption = 1; host-a = { }; }

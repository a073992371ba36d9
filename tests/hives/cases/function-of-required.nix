{ noDefault }: { host-a = { }; }

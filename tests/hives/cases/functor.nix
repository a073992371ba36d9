{ __functor = self: { argument ? "of a functor" }: { host-a.deployment.tags = [ argument ]; }; }

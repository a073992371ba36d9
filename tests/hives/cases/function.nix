{ argument ? "with a default" }: { host-a.deployment.tags = [ argument ]; }

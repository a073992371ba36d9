{
  defaults = [ { deployment.tags = [ "every" ]; } ];
  host-a = [
    { deployment.tags = [ "one" ]; }
    ({ name, ... }: { deployment.tags = [ name ]; })
  ];
}

# What the rules of tests/hives/selectors.txt choose from.
{
  alpha.deployment.tags = [ "web" "infra-build" ];
  beta.deployment.tags = [ "infra" ];
  "gamma.tld".deployment.tags = [ "eu.west" "web" ];
  "delta.tld".deployment.tags = [ "eu.east" ];
  lax-alpha = { };
  lax-beta.deployment.tags = [ ];
}

# A small service. Change greeting.txt and deploy again.
{ name, pkgs, ... }:
{
  systemd.services.greeting = {
    description = "Greets whoever looks at /run/greeting";
    wantedBy = [ "multi-user.target" ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
    };
    script = ''
      echo "${name}: $(cat ${./greeting.txt})" > /run/greeting
    '';
  };
}

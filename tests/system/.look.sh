#!/usr/bin/env bash
set -euo pipefail
here=/work/main/tests/system
source "$here/laptop.sh"
laptop_enter "$@"
source "$here/fleet.sh"
fleet_start alpha beta gamma
describe_large() {
    change "$1" <<NIX
{ pkgs, ... }: {
  environment.etc.word.text = "$2";
  environment.etc.ballast.source = pkgs.runCommand "ballast-$2-$1" { } "echo building the ballast of $1 >&2; sleep 1; head -c 6000000 /dev/urandom > \$out";
  systemd.services.web = { wantedBy = [ "multi-user.target" ]; serviceConfig = { Type = "oneshot"; RemainAfterExit = true; }; script = "echo serving $2; sleep 3"; };
}
NIX
}
slow_down() { # NODE
    ip netns exec "waggle-$1" nft -f - <<'RULES'
table inet waggle_slow {
    chain input { type filter hook input priority 0; iifname "uplink" limit rate over 1 mbytes/second burst 256 kbytes drop; }
}
RULES
}
for n in alpha beta gamma; do describe_large $n $RANDOM$RANDOM; slow_down $n; done
w() { echo "\$ waggle $*"; (exec_waggle "$@") || echo "exit code $?"; }
clear; echo READY1
w apply
echo DONE1; read -r _
node_run gamma systemctl stop waggle-agent
change beta <<'NIX'
{ system.activationScripts.broken.text = "echo this snippet is broken >&2; exit 1"; }
NIX
change alpha <<'NIX'
{ pkgs, ... }: { environment.etc.x.source = pkgs.runCommand "broken" {} "echo compiling hard; echo oh no >&2; exit 3"; }
NIX
clear
w apply
echo DONE2; read -r _
clear; w status; echo DONE3; read -r _
clear; known_hosts=/dev/null w apply --on alpha ; identity=/nonexistent w apply; w apply --on alhpa; echo DONE4; read -r _
clear
for n in alpha beta gamma; do describe_large $n $RANDOM$RANDOM; done
w apply
echo DONE5; read -r _

#!/usr/bin/env bash
# deployment.keys: Colmena's options and defaults, refused values with their messages, and what the trigger receives.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"

# A node with these keys, and with the user worker and the group workers.
node() { # KEYS [MORE]
    hive <<NIX
{
  a = { ... }: {
    imports = [ { ${2:-} } $machine ];
    users.users.worker = { isSystemUser = true; group = "workers"; };
    users.users.aliased = { name = "Odd_Name.1"; isSystemUser = true; group = "workers"; };
    users.groups.workers = { };
    deployment.keys = $1;
  };
}
NIX
}
not_in_store() { ! grep -rqs -- "$1" /nix/store; }
refuses() { # KEYS TEXT…
    node "$1"
    ask '.keys [ "a" ]'
    check "these keys are refused: $1" fails "Failed assertions:" "${@:2}"
}

section "defaults"
node '{ db.text = "honey-8c1f6e"; }'
ask '.keys [ "a" ]'
check "the defaults are Colmena's" satisfies '.a.keys.db == {
    "path": "/run/keys/db", "user": "root", "group": "root", "permissions": "0600", "uploadAt": "pre-activation", "keyFile": null,
    "keyCommand": null, "hasText": true, "restartUnits": [], "reloadUnits": [], "neededForUsers": false, "allowEmpty": false }'
check "the keys of a node do not include the text" satisfies '(tostring | contains("honey-8c1f6e")) | not'
ask '.nodes [ "a" ]'
check "the result for the system does not include the text" satisfies '.a.keys.db.hasText and ((tostring | contains("honey-8c1f6e")) | not)'
check "the text is nowhere in the store" not_in_store honey-8c1f6e
ask '.keyTexts [ "a" ]'
check "keyTexts returns the text" answers '{ "a": { "db": "honey-8c1f6e" } }'
ask '.deployments [ "a" ]'
check "the deployment options, which select nodes, include no keys" satisfies '.a | has("keys") | not'

section "every option"
echo nectar-40b7d2 >secret.txt
node '{
  one = { keyFile = ./secret.txt; name = "other-name"; destDir = "/var/lib/x"; user = "worker"; group = "workers"; permissions = "440";
    uploadAt = "post-activation"; restartUnits = [ "a.service" ]; reloadUnits = [ "b@1.service" ]; };
  two = { keyCommand = [ "pass" "show" "two words" ]; user = "Odd_Name.1"; };
  three = { keyFile = "/etc/hostname"; path = "/persist/three"; neededForUsers = true; };
}'
ask '.keys [ "a" ]'
check "every option is in the result" satisfies '
    .a.keys.one.path == "/var/lib/x/other-name" and .a.keys.one.keyFile == "'"$work"'/secret.txt" and .a.keys.one.permissions == "440" and
    .a.keys.one.user == "worker" and .a.keys.one.uploadAt == "post-activation" and .a.keys.one.restartUnits == ["a.service"] and
    .a.keys.one.reloadUnits == ["b@1.service"] and .a.keys.two.keyCommand == ["pass", "show", "two words"] and
    .a.keys.three.path == "/persist/three" and .a.keys.three.neededForUsers'
check "a keyFile given as a path is not copied to the store" not_in_store nectar-40b7d2

section "refused keys"
refuses '{ x = { }; }' "deployment.keys.x: one of text, keyFile and keyCommand must be set"
refuses '{ x = { text = "a"; keyFile = "/b"; }; }' "text and keyFile are set, and only one"
refuses '{ "a b".text = ""; }' "its name cannot be part of a unit's"
refuses '{ x = { text = ""; name = "../x"; }; }' "which is not a file's name"
refuses '{ x = { text = ""; destDir = "/nix/store/x"; }; }' "its path is"
refuses '{ x = { text = ""; destDir = "/run/a b"; }; }' "its path is"
refuses '{ x = { text = ""; destDir = "/run/../etc"; }; }' "its path is"
refuses '{ x = { text = ""; permissions = "4755"; }; }' "which is not three octal digits"
refuses '{ x = { text = ""; user = "1000"; }; }' "user is \"1000\", which is no user's name"
refuses '{ x = { text = ""; user = "-x"; }; }' "which is no user's name"
refuses '{ x = { text = ""; user = "nobody-here"; }; }' "there is no users.users.nobody-here in this configuration"
refuses '{ x = { text = ""; user = "aliased"; }; }' "there is no users.users.aliased"
refuses '{ x = { text = ""; group = "nobody-here"; }; }' "there is no users.groups.nobody-here"
refuses '{ x = { text = ""; restartUnits = [ "nginx" ]; }; }' "\"nginx\" is not a unit's name"
refuses '{ x = { text = ""; neededForUsers = true; user = "worker"; }; }' "user and group must be root"
refuses '{ x = { text = ""; neededForUsers = true; uploadAt = "post-activation"; }; }' "uploadAt cannot be"
refuses '{ x.text = ""; y = { text = ""; name = "x"; }; }' "x and y have the same path, /run/keys/x"
refuses '{ x.text = ""; y = { text = ""; destDir = "/run/keys/x"; }; }' "x (/run/keys/x) is in the way of y"
node '{ x = { text = ""; uploadAt = "later"; }; }'
ask '.keys [ "a" ]'
check "a value of uploadAt other than its two is refused" fails "uploadAt"
node '{ x = { text = ""; keyCommand = [ ]; }; }'
ask '.keys [ "a" ]'
check "an empty keyCommand is refused" fails "keyCommand"
node '{ x = { }; }'
ask '.nodes [ "a" ]'
check "a system with invalid keys does not evaluate" fails "Failed assertions:" "one of text, keyFile and keyCommand"

section "restartUnits and reloadUnits that no module defines"
node '{ x = { text = ""; restartUnits = [ "web.service" "web@1.service" "alias.service" "wbe.service" ]; reloadUnits = [ "gone.socket" "data.mount" ]; }; }' \
    'systemd.services.web = { aliases = [ "alias.service" ]; serviceConfig.ExecStart = "/bin/true"; }; systemd.services."web@".serviceConfig.ExecStart = "/bin/true";'
ask '.nodes [ "a" ]'
check "a warning names an undefined unit of restartUnits" warns "deployment.keys.x: restartUnits names wbe.service, and no module of this configuration defines a unit of that name"
check "a warning names an undefined unit of reloadUnits" warns "reloadUnits names gone.socket"
check "no warning names any other unit" test "$(grep -o 'deployment.keys.x: [a-zA-Z]* names [a-z.]*' <<<"$err" | sort -u | wc -l)" = 2
check "the node evaluates despite the warnings" succeeds

section "meta.recoveryRecipients"
hive <<<'{ meta.recoveryRecipients = [ "age1x" ]; a = { }; }'
ask .info
check "info returns the recovery recipients" satisfies '.meta.recoveryRecipients == ["age1x"]'
hive <<<'{ meta.recoveryRecipients = "age1x"; a = { }; }'
ask .info
check "recovery recipients that are not a list are refused" fails "meta.recoveryRecipients must be a list of public keys"

section "the search of the store finds leaked secrets"
nix-instantiate --eval --read-write-mode -E 'builtins.toFile "leak" "honey-8c1f6e"' >/dev/null
in_store() { ! not_in_store "$1"; }
check "a secret in the store is found" in_store honey-8c1f6e

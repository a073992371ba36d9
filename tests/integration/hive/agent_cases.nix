# What services.waggle-agent refuses, as a hive with a node for each case, and of each node the sentences expected: a
# pattern for each, none where the configuration is good.
#
#   .hive     for nixos-module/hive.nix
#   .wrong    given its configurations: the cases that came out otherwise
#   .count    how many there are
#
# `all`: also the many in which nothing but the text of our own options differs. They ask nothing of NixOS, of which each costs
# a second or two.
{ all }:
let
  key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q";
  operators = lines: { services.waggle-agent.operators = lines; };
  agent = options: { services.waggle-agent = { operators = [ key ]; } // options; };
  root = fsType: { fileSystems."/" = { device = "x"; inherit fsType; }; };
  persist = { fileSystems."/persist" = { device = "/dev/sda2"; fsType = "ext4"; }; };
  tmpfsRoot = { fileSystems = { "/" = { device = "none"; fsType = "tmpfs"; }; "/nix" = { device = "/dev/sda1"; fsType = "ext4"; }; }; };

  cases = (if all then texts else { }) // machines;

  texts = {
    # Operators
    good = { module = operators [ key "${key} alice@laptop" "${key}\tbob with, \"odd\" comment" (key + "\n") (key + " crlf\r\n") ]; refused = [ ]; };
    nobody = { module = { }; refused = [ "operators is empty: no operator could deploy to node `nobody'.*" ]; };
    options = { module = operators [ key "command=\"x y\",no-pty ${key} mallory" ]; refused = [ "in operators the line \"command=.* mallory\" begins with options.*" ]; };
    one-option = { module = operators [ "restrict ${key}" ]; refused = [ "in operators the line \"restrict ssh-.*\" begins with options.*" ]; };
    certificate = { module = operators [ "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5 alice" ]; refused = [ ".*is a certificate.*" ]; };
    authority = { module = operators [ "cert-authority ${key}" ]; refused = [ ".*begins with options.*" ]; };
    token = { module = operators [ "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5 alice" ]; refused = [ ".*hardware token.*" ]; };
    token-ecdsa = { module = operators [ "sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVj" ]; refused = [ ".*hardware token.*" ]; };
    rsa = { module = operators [ "ssh-rsa AAAAB3NzaC1yc2E alice" ]; refused = [ ".*is a ssh-rsa key: only ssh-ed25519.*" ]; };
    ecdsa = { module = operators [ "ecdsa-sha2-nistp256 AAAAE2VjZHNh alice" ]; refused = [ ".*is a ecdsa-sha2-nistp256 key: only.*" ]; };
    truncated = { module = operators [ (builtins.substring 0 60 key) ]; refused = [ ".*is not a complete ssh-ed25519 key.*" ]; };
    other-blob = { module = operators [ "ssh-ed25519 AAAAB3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q" ]; refused = [ ".*is not a complete.*" ]; };
    other-length = { module = operators [ (builtins.replaceStrings [ "AAAAIK" ] [ "AAAAIQ" ] key) ]; refused = [ ".*is not a complete.*" ]; };
    carriage-return = { module = operators [ "${key} a\rb" ]; refused = [ ".*more than one line.*" ]; };
    too-many = { module = operators (builtins.genList (_: key) 257); refused = [ "operators has 257 keys.*" ]; };
    two-lines = { module = operators [ "${key} alice\n${key} bob\n" ]; refused = [ ".*alice\\\\nssh.*has more than one line.*" ]; };
    empty-line = { module = operators [ "" ]; refused = [ ".*\"\" is empty or a comment.*" ]; };
    comment = { module = operators [ "# alice" ]; refused = [ ".*is empty or a comment.*" ]; };
    private = { module = operators [ "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n" ]; refused = [ "in operators the line \"…\" is a private key.*" ]; };
    words = { module = operators [ "alice@laptop" ]; refused = [ ".*is not an OpenSSH public key.*" ]; };
    two-bad = { module = operators [ "x" key "y" ]; refused = [ ".*\"x\".*" ".*\"y\".*" ]; };

    # Names
    host-name = { module = { networking.hostName = "elsewhere"; } // agent { node = "web-1.example_org"; hive = "A.b-c_1"; }; refused = [ ]; };
    bad-node = { module = agent { node = "a b"; }; refused = [ "node is \"a b\", which is not a name.*" ]; };
    dots = { module = agent { node = "a..b"; hive = "..x"; }; refused = [ "node is \"a..b\".*" "hive is \"..x\".*" ]; };
    slash = { module = agent { hive = "a/b"; }; refused = [ "hive is .*" ]; };
    no-name = { module = agent { node = ""; }; refused = [ "node is \"\".*" ]; };
    long = { module = agent { node = builtins.concatStringsSep "" (builtins.genList (_: "n") 65); }; refused = [ "node is .*" ]; };

    # Where it listens
    addresses = { module = agent { listen = [ "0.0.0.0" "192.0.2.255" "::" "::1" "2001:db8::7" "fe80::1%eth0" "::ffff:192.0.2.1" "wg0" "br-lan" "enp3s0.42" ]; }; refused = [ ]; };
    nowhere = { module = agent { listen = [ ]; }; refused = [ "listen is empty.*" ]; };
    too-many-addresses = { module = agent { listen = builtins.genList (n: "eth${toString n}") 65; }; refused = [ "listen has 65 entries.*" ]; };
    with-port = { module = agent { listen = [ "192.0.2.1:9244" "[::1]" "[::1]:9244" "10:9244" ]; }; refused = [ ".*\"192.0.2.1:9244\".*" ".*\"\\[::1]\".*" ".*\"\\[::1]:9244\".*" ".*\"10:9244\".*" ]; };
    no-address = { module = agent { listen = [ "192.0.2.256" "1.2.3" "10.0.0.0/8" "an-interface-with-a-long-name" "" ]; }; refused = [ ".*256.*" ".*1.2.3.*" ".*/8.*" ".*long-name.*" ".*\"\".*" ]; };

    # Paths
    elsewhere = { module = agent { stateDir = "/srv/waggle"; identityFile = "/srv/keys/id_ed25519"; }; refused = [ ]; };
    odd-path = { module = agent { stateDir = "/srv/../waggle"; identityFile = "/srv/a b"; }; refused = [ "identityFile is .*plain absolute path.*" "stateDir is .*plain absolute path.*" ]; };
    in-store = { module = agent { identityFile = "${builtins.storeDir}/key"; }; refused = [ ".*in the Nix store.*" ]; };
    at-home = { module = agent { identityFile = "/root/.ssh/id_ed25519"; }; refused = [ ".*below a home directory.*" ]; };

    top = { module = agent { stateDir = "/persist"; }; refused = [ "stateDir is \"/persist\", which others use.*" ]; };
    var-lib = { module = agent { stateDir = "/var/lib"; }; refused = [ "stateDir is \"/var/lib\", which others use.*" ]; };
    run = { module = agent { stateDir = "/run/waggle/x"; identityFile = "/var/tmp/key"; }; refused = [ "identityFile is /var/tmp/key, which a reboot empties.*" "stateDir is /run/waggle/x, which a reboot empties.*" ]; };
  };

  machines = {
    # Health checks
    no-command = { module = { imports = [ (operators [ key ]) ]; deployment.healthChecks.cmd = [ { cmd = [ ]; } ]; }; refused = [ "deployment.healthChecks.cmd has a check whose cmd is empty." ]; };

    # A root that forgets
    tmpfs = { module = { imports = [ tmpfsRoot (agent { }) ]; services.openssh.enable = true; }; refused = [ "identityFile is /etc/ssh/.*on the file system /, a tmpfs.*lose its identity.*/persist/etc/ssh/.*" "stateDir is /var/lib/waggle-agent.*what it has admitted.*" ]; };
    tmpfs-persist = { module.imports = [ tmpfsRoot persist (agent { stateDir = "/persist/waggle"; identityFile = "/persist/ssh_host_ed25519_key"; }) ]; refused = [ ]; };
    tmpfs-bind = { module.imports = [ tmpfsRoot { fileSystems."/var/lib" = { device = "/nix/var-lib"; fsType = "none"; options = [ "bind" ]; }; } (agent { }) ]; refused = [ ]; };
    tmpfs-below = { module.imports = [ (root "ext4") { fileSystems."/var/lib/waggle-agent" = { device = "none"; fsType = "tmpfs"; }; } (agent { }) ]; refused = [ "identityFile is /var/lib/waggle-agent/.*" "stateDir is .*" ]; };
    tmpfs-sibling = { module.imports = [ (root "ext4") { fileSystems."/var/lib/wag" = { device = "none"; fsType = "tmpfs"; }; } (agent { }) ]; refused = [ ]; };

    # Beside others
    upgrade = { module = { system.autoUpgrade.enable = true; } // agent { }; refused = [ "system.autoUpgrade.enable is set.*" ]; };

    # Not enabled, nothing is looked at
    off = { module = operators [ "nonsense" ] // { system.autoUpgrade.enable = true; }; enable = false; refused = [ ]; };
  };

  node = name: { module, enable ? true, ... }: { lib, pkgs, ... }: {
    imports = [ module ];
    services.waggle-agent.enable = enable;
    services.waggle-agent.package = pkgs.hello;
    system.stateVersion = "20.09";
    fileSystems."/" = lib.mkDefault { device = "/dev/sda1"; fsType = "ext4"; };
  };

  prefix = "services.waggle-agent: ";
  sentences = config: map (a: a.message)
    (builtins.filter (a: !a.assertion && builtins.substring 0 (builtins.stringLength prefix) a.message == prefix) config.assertions);
  agrees = expected: got:
    builtins.length expected == builtins.length got
    && builtins.all (n: builtins.match (prefix + builtins.elemAt expected n) (builtins.elemAt got n) != null)
      (builtins.genList (n: n) (builtins.length got));
in
{
  hive = builtins.mapAttrs node cases;
  count = builtins.length (builtins.attrNames cases);
  wrong = configurations:
    builtins.concatMap
      (name:
        let got = sentences configurations.${name}.config;
        in if agrees cases.${name}.refused got then [ ] else [ { inherit name got; expected = cases.${name}.refused; } ])
      (builtins.attrNames cases);
}

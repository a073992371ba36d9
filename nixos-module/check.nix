# Checks of the values of options. Each returns a list of sentences, empty if there is no problem.
{ lib }:
let
  matches = pattern: text: builtins.match pattern text != null;
  refuse = condition: sentence: lib.optional condition sentence;

  # An SSH public key blob is lengths and strings. Base64 of (11, "ssh-ed25519", 32, 32 bytes) has 68 characters and
  # begins with these 25; the 26th contains the last two bits of the length.
  ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-P][A-Za-z0-9+/]{42}";

  keyType = "(sk-)?(ssh-(ed25519|rsa|dss)|ecdsa-sha2-[a-z0-9-]+)(-cert-v01)?(@openssh[.]com)?";
  firstWord = line: builtins.head (builtins.match "([^ \t]*).*" line);

  # Why a line is not an operator's key, as the rest of a sentence; null if it is one.
  keyFault = line:
    let type = firstWord line; in
    if matches "(${ed25519})([ \t][^\r\n]*)?" line then null
    else if matches ".*PRIVATE KEY.*" line then "is a private key: write the public one, the content of the .pub file"
    else if matches ".*[\r\n].*" line then "has more than one line: write one list entry for each key"
    else if matches "[ \t]*(#.*)?" line then "is empty or a comment"
    else if matches keyType type then
      if matches ".*-cert-v01.*" type then "is a certificate: write the operator's public key itself"
      else if matches "sk-.*" type then "is a key in a hardware token (sk-), which cannot sign for Waggle: use an ssh-ed25519 key"
      else if type != "ssh-ed25519" then "is a ${type} key: only ssh-ed25519 keys can deploy"
      else "is not a complete ssh-ed25519 key"
    else if matches "(.*[ \t,\"])?${keyType}[ \t].*" line then "begins with options, which Waggle does not know: write the key alone"
    else "is not an OpenSSH public key: it should begin with \"ssh-ed25519 AAAA\"";

  isIPv4 = matches "(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])([.](25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}";
  # Matches as far as a pattern can tell. A port or a prefix length after an address does not match.
  isIPv6 = matches "[0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:]*(:[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+)?(%[A-Za-z0-9._-]+)?";
  isInterface = entry: matches "[A-Za-z0-9._@-]{1,15}" entry && !matches "[0-9.]*" entry;

  # A private key that was pasted by mistake must not appear in a log.
  shown = line:
    if matches ".*PRIVATE KEY.*" line then "…"
    else builtins.replaceStrings [ "\r" "\n" ] [ "\\r" "\\n" ] (if lib.stringLength line > 200 then lib.substring 0 200 line + "…" else line);

  parents = path:
    let parent = builtins.dirOf path;
    in [ path ] ++ lib.optionals (parent != path) (parents parent);
in
rec {
  inherit isInterface;

  name = option: value:
    refuse (!matches "[A-Za-z0-9][A-Za-z0-9._-]{0,63}" value || matches ".*[.][.].*" value)
      ("${option} is \"${value}\", which is not a name that Waggle can use: 1 to 64 letters, digits, '.', '_' and '-', the first "
        + "a letter or digit, no \"..\".");

  # A line as in known_hosts or authorized_keys: type and key, and perhaps a comment.
  isKey = line: keyFault line == null;

  operators = option: lines:
    refuse (lib.length lines > 256) "${option} has ${toString (lib.length lines)} keys, and the agent takes 256 at most."
    ++ lib.concatMap
      (line: refuse (!isKey line) "in ${option} the line \"${shown line}\" ${keyFault line}.")
      lines;

  listen = option: entries:
    refuse (entries == [ ]) "${option} is empty: the agent would listen nowhere."
    ++ refuse (lib.length entries > 64) "${option} has ${toString (lib.length entries)} entries, and the agent takes 64 at most."
    ++ lib.concatMap
      (entry: refuse (!isIPv4 entry && !isIPv6 entry && !isInterface entry)
        "${option} has \"${entry}\", which is neither an IP address nor the name of an interface (the port is an option of its own).")
      entries;

  absolutePath = option: path:
    refuse (!matches "(/[A-Za-z0-9._+@-]+)+" path || matches ".*/[.][.]?(/.*)?" path)
      "${option} is \"${path}\", which is not a plain absolute path (letters, digits, and '.', '_', '+', '@', '-' in names)."
    ++ refuse (lib.hasPrefix "${builtins.storeDir}/" path)
      "${option} is \"${path}\", in the Nix store, which every user can read and no program can write.";

  # The agent sets the folder's mode, so no other program may use the folder.
  ownFolder = option: path:
    refuse (matches "/[^/]*" path || matches "/(boot|etc|home|nix|run|tmp|usr|var)/[^/]*" path)
      "${option} is \"${path}\", which others use: name a folder for the agent alone, such as /var/lib/waggle-agent.";

  # The file system that contains the path must survive a reboot.
  persistent = fileSystems: option: path:
    let
      holding = lib.concatMap (folder: lib.filter (fs: fs.mountPoint == folder) (lib.attrValues fileSystems)) (parents path);
      fs = lib.head holding;
      loss = if option == "stateDir" then "what it has admitted" else "its identity";
    in
    refuse (matches "(/var)?/(run|tmp)/.*" path) "${option} is ${path}, which a reboot empties: the node would lose ${loss}."
    ++ refuse (holding != [ ] && lib.elem fs.fsType [ "tmpfs" "ramfs" ])
      ("${option} is ${path}, on the file system ${fs.mountPoint}, a ${fs.fsType} that a reboot empties: the node would lose "
        + "${loss}. Name a path on a persistent file system, such as /persist${path}, or mount one there.");
}

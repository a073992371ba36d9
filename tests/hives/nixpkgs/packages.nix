# Builders and packages. A package here is a folder of links to the node's own programs in /usr/bin.
{ lib, system, overlays, config }:
self:
let
  platform = platformOf system;
  platformOf = system: {
    inherit system;
    isLinux = lib.hasSuffix "-linux" system;
    isDarwin = lib.hasSuffix "-darwin" system;
    isx86_64 = lib.hasPrefix "x86_64-" system;
    isAarch64 = lib.hasPrefix "aarch64-" system;
  };

  derivationOf = { name, script, ... }@args:
    derivation (removeAttrs args [ "script" "meta" "passthru" ] // {
      inherit name system;
      builder = "/bin/sh";
      args = [ "-euc" script ];
      PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
      preferLocalBuild = true;
    }) // { meta = args.meta or { }; } // args.passthru or { };

  hostPrograms = name: programs: self.runCommand name { version = "0-host"; } ''
    mkdir -p $out/bin
    ln -s -t $out/bin ${lib.concatMapStringsSep " " (program: "/usr/bin/${program}") programs}
  '';

  # Named by the package expression of Waggle, never built here.
  placeholder = name: self.runCommand name { passthru.dev = "/placeholder/${name}"; } "mkdir $out";
in
{
  inherit lib config overlays system;
  path = ./.;
  pkgs = self;
  callPackage = function: args:
    let f = if lib.isFunction function then function else import function;
    in f (builtins.intersectAttrs (lib.functionArgs f) self // args);

  stdenv = {
    inherit system;
    hostPlatform = platform;
    buildPlatform = platform;
    mkDerivation = args:
      let attrs = if lib.isFunction args then args (attrs // { finalPackage = package; }) else args;
          package = derivationOf (lib.filterAttrs (_: value: !lib.isBool value) attrs // {
            name = attrs.name or "${attrs.pname}-${attrs.version}";
            script = "echo 'the fixture nixpkgs does not build packages' >&2; exit 1";
          });
      in package;
  };

  # Packages for another machine, built here.
  pkgsCross.aarch64-multiplatform.callPackage = function: args:
    self.callPackage function (args // { stdenv = self.stdenv // { hostPlatform = platformOf "aarch64-linux"; }; });
  mkShell = args: derivationOf (args // { name = "nix-shell"; script = "exit 1"; inputsFrom = map toString args.inputsFrom or [ ]; });

  # Starting a process costs far more than its work here, so each builder starts as few as it can.
  runCommand = name: args: script: derivationOf (args // { inherit name script; });
  writeTextFile = { name, text, executable ? false, destination ? "" }:
    self.runCommand name { inherit text; passAsFile = [ "text" ]; }
      "install -D -m ${if executable then "755" else "644"} \"$textPath\" \"$out${destination}\"";
  writeText = name: text: self.writeTextFile { inherit name text; };
  writeShellScript = name: text: self.writeTextFile { inherit name; executable = true; text = "#!/bin/sh\n${text}"; };
  writeShellScriptBin = name: text:
    self.writeTextFile { inherit name; executable = true; destination = "/bin/${name}"; text = "#!/bin/sh\n${text}"; };
  writeScript = name: text: self.writeTextFile { inherit name text; executable = true; };
  writeScriptBin = name: text: self.writeTextFile { inherit name text; executable = true; destination = "/bin/${name}"; };
  linkFarm = name: entries: self.runCommand name { } ''
    mkdir -p $out && cd $out
    ${self.makeLinks} ${lib.concatMapStringsSep " " (entry: lib.escapeShellArgs [ "${entry.path}" entry.name ]) entries}
  '';
  # A command that makes links: its arguments are the target and the name of each.
  makeLinks = "perl -we " + lib.escapeShellArg ''
    while (my ($target, $name) = splice @ARGV, 0, 2) {
        my $folder = "";
        for my $part (split m{/}, $name =~ s{[^/]*$}{}r) {
            $folder .= "$part/";
            -d $folder or mkdir $folder or die "$folder: $!\n";
        }
        symlink($target, $name) or die "$name: $!\n";
    }
  '';
  symlinkJoin = { name, paths }: self.runCommand name { } ''
    mkdir -p $out/bin
    for path in ${lib.concatMapStringsSep " " toString paths}; do
      set --
      for program in "$path"/bin/*; do [ ! -e "$program" ] || set -- "$@" "$program"; done
      [ $# -eq 0 ] || ln -sf -t $out/bin "$@"
    done
  '';

  bash = hostPrograms "bash" [ "bash" "sh" ];
  coreutils = hostPrograms "coreutils" [ "cat" "chmod" "chown" "cp" "date" "echo" "false" "ls" "mkdir" "mv" "rm" "sleep" "true" ];
  hello = hostPrograms "hello" [ "echo" ];
  nix = hostPrograms "nix" [ "nix" "nix-build" "nix-collect-garbage" "nix-copy-closure" "nix-daemon" "nix-env" "nix-instantiate" "nix-store" ];
  python3Packages.pyflakes = placeholder "pyflakes";
  openssh = hostPrograms "openssh" [ "ssh" "ssh-keygen" ];
  systemd = hostPrograms "systemd" [ "journalctl" "systemctl" "systemd-notify" "systemd-run" "systemd-tmpfiles" ];
} // lib.genAttrs [
  "age" "black" "boost" "ccache" "clang" "clang-tools" "cli11" "cmake" "fmt" "git" "gtest" "jq" "libgit2" "ninja" "nlohmann_json" "openssl" "pkg-config"
  "procps" "shellcheck" "spdlog" "webhook" "zlib" "zstd"
] placeholder

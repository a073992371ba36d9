# Both programs: `out` has the trigger and its Nix modules, `agent` only what a node needs.
{
  lib, stdenv, age, cmake, git, ninja, pkg-config, boost, cli11, fmt, gtest, libgit2, nlohmann_json, openssh, openssl, spdlog, zlib, zstd,
  systemd, systemdLibs ? systemd,
}:
let
  doCheck = stdenv.buildPlatform.system == stdenv.hostPlatform.system;
in
stdenv.mkDerivation {
  pname = "waggle";
  version = "0.2.0";
  outputs = [ "out" "agent" ];

  src = builtins.path {
    name = "waggle-source";
    path = ./.;
    filter = path: _:
      let below = lib.removePrefix (toString ./. + "/") path;
      in builtins.elem (builtins.head (lib.splitString "/" below))
        [ "CMakeLists.txt" "cmake" "shared" "agent" "trigger" "nixos-module" "tests" "docs" ];
  };

  strictDeps = true;
  nativeBuildInputs = [ cmake ninja pkg-config ];
  buildInputs = [ boost cli11 fmt libgit2 nlohmann_json openssl spdlog systemdLibs zstd ];

  # The other tests boot machines or need their own Nix.
  inherit doCheck;
  # Several files are compiled as one, which takes a third of the time.
  cmakeFlags = [ "-DWAGGLE_TESTS=${if doCheck then "ON" else "OFF"}" "-DCMAKE_UNITY_BUILD=ON" "-DCMAKE_UNITY_BUILD_BATCH_SIZE=10" ];
  nativeCheckInputs = [ age git openssh openssl ];
  checkInputs = [ gtest zlib ];
  checkPhase = ''
    runHook preCheck
    ctest --output-on-failure --no-tests=error -j "$NIX_BUILD_CORES" -L '^unit$'
    runHook postCheck
  '';

  postInstall = ''
    moveToOutput bin/waggle-agent "$agent"
    moveToOutput share/man/man8 "$agent"
  '';

  meta = {
    description = "Deploys NixOS by having the nodes do the work";
    longDescription = ''
      Waggle deploys NixOS to one machine or thousands. The laptop evaluates and builds; each node gets a signed deployment,
      verifies it, fetches what it lacks and activates it locally. The output `agent` has waggle-agent, the daemon of the nodes.
    '';
    license = lib.licenses.mit;
    maintainers = [ ];
    platforms = lib.platforms.linux;
    mainProgram = "waggle";
  };
}

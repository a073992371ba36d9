# shellcheck shell=bash
# Runs the phases of nixpkgs' stdenv and its cmake, with the settings of package.nix, in the root that package_test.sh
# prepares.

section() { printf '\n== %s\n' "$*"; }
check() { # "what must hold" COMMAND…
    if "${@:2}"; then echo "ok    $1"; else echo "FAIL  $1" && exit 1; fi
}
no() { ! "$@"; }

section "configure"
g++ --version | sed -n 1p
out=/nix/store/00000000000000000000000000000000-waggle
agent=$out-agent
mapfile -t cmake_flags </build/cmake-flags
cmake -G Ninja -S /build/source -B /build/objects --log-level=WARNING \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=$out "${cmake_flags[@]}"

section "build"
cd /build/objects || exit
WAGGLE_CACHE=/tmp bash /build/source/tests/huge_pages.sh cmake --build .

section "check"
runHook() { :; }
source /build/check-phase
bash /build/source/tests/skipped_tests.sh .

section "install"
cmake --install . >/build/install.log
moveToOutput() { # PATTERN OUTPUT: as nixpkgs' multiple-outputs.sh
    mkdir -p "$2/$(dirname "$1")"
    mv "$out"/$1 "$2/$(dirname "$1")/"
}
source /build/post-install
(cd /nix/store && find . -maxdepth 4 | sort | sed 's|^\./||')

section "outputs"
check "waggle starts" $out/bin/waggle --version
check "the trigger's NixOS modules are installed with it" test -e $out/share/waggle/nixos-module/hive.nix
for file in man/man1/waggle.1 bash-completion/completions/waggle zsh/site-functions/_waggle fish/vendor_completions.d/waggle.fish; do
    check "the trigger's output has $file" test -s $out/share/$file
done
mv $out $out.away # the nodes do not have it
check "waggle-agent starts without the trigger's output" $agent/bin/waggle-agent --version
mv $out.away $out
libraries=$(ldd $agent/bin/waggle-agent)
check "the agent does not link to libgit2, a library of the trigger" no grep -E 'libgit2' <<<"$libraries"
check "the trigger links to libgit2" grep -qE 'libgit2' <<<"$(ldd $out/bin/waggle)"
check "the agent's output does not refer to the trigger's" no grep -rF "$out/" $agent
check "the agent's output is one program and its manual page" \
    test "$(find $agent -type f | sort | paste -sd ' ')" = "$agent/bin/waggle-agent $agent/share/man/man8/waggle-agent.8"
# In Nix, a header is in the development output of its package, which a reference to it would copy to the nodes.
for program in $out/bin/waggle $agent/bin/waggle-agent; do
    check "${program##*/} contains no path of the build or of a header" no grep -aoE '(/build|/usr/include|/usr/lib/gcc)/[a-zA-Z0-9_./-]+' $program
done

#!/usr/bin/env bash
# nixos_tree.sh NAME: prints the directory of a tree of real NixOS, unpacked once into the cache: 20.09, 24.11 or 26.11.
#
# $WAGGLE_TEST_NIXOS is a directory with unpack.sh, which creates the trees; .ci/run looks for it next to the checkout.
# A tree is also used as a flake, so it gets a flake.nix and everything that it refers to. Exits with 77 if
# $WAGGLE_TEST_NIXOS is not set.
set -euo pipefail

name=$1
if [[ -z ${WAGGLE_TEST_NIXOS:-} ]]; then
    echo "SKIP  NixOS $name: WAGGLE_TEST_NIXOS does not name a folder whose unpack.sh makes trees of real NixOS" >&2
    exit 77
fi
version=$(cat "$0" "$WAGGLE_TEST_NIXOS"/unpack.sh "$WAGGLE_TEST_NIXOS"/*.tar.zst | sha256sum | cut -c1-8)
trees=${WAGGLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/waggle}/nixos-$version

unpack() {
    local tree
    rm -rf "$trees" "$trees.partial"
    "$WAGGLE_TEST_NIXOS/unpack.sh" "$trees.partial"
    for tree in "$trees.partial"/*/; do
        if [[ -L $tree/base ]]; then
            rm "$tree/base"
            cp -al "$trees.partial/20.09" "$tree/base"
        fi
        write_flake >"$tree/flake.nix.new"
        mv "$tree/flake.nix.new" "$tree/flake.nix" # not in place: another tree may have a hard link to it
    done
    mv -T "$trees.partial" "$trees"
}

# The packages are those of 2020, when cli11 was unfree by mistake and not supported on aarch64; those of Haskell, of
# which shellcheck is one, are left out.
write_flake() {
    cat <<'NIX'
{
  outputs = { self }: {
    lib = import ./lib // {
      nixosSystem = arguments: import ./nixos/lib/eval-config.nix ({ lib = self.lib; system = null; } // arguments);
    };
    legacyPackages = builtins.listToAttrs (map
      (system: {
        name = system;
        value = import ./. {
          inherit system;
          config = { allowUnfree = true; allowUnsupportedSystem = true; };
          overlays = [ (_: packages: { shellcheck = packages.hello; }) ];
        };
      })
      [ "x86_64-linux" "aarch64-linux" ]);
  };
}
NIX
}

mkdir -p "$(dirname "$trees")"
exec {lock}>"$trees.lock"
flock "$lock"
[[ -d $trees ]] || unpack
[[ -d $trees/$name ]] || { echo "$WAGGLE_TEST_NIXOS has no tree $name" >&2; exit 1; }
echo "$trees/$name"

#!/bin/sh
# Makes this system the node's current one: its files and units linked into /etc, activation snippets run in order.
# Starts and stops nothing. With --boot it also records this as the booted system: so the early unit of a node calls it.
# Exit 2 if a snippet failed; the rest runs all the same, as on NixOS.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
system=$(dirname "$(readlink -f "$0")")
manifest=/etc/waggle-fixture-links # what is linked from a system, below /etc
status=0
export systemConfig=$system # for snippets

link_etc() {
    (cd "$system/etc/." && find . -type l -printf '%P\n' | sort) > "$manifest.new" || return 1
    touch "$manifest"
    # Before anything is linked, so that a run that is killed here leaves nothing unowned.
    sort -u "$manifest" "$manifest.new" > "$manifest.tmp" && mv "$manifest.tmp" "$manifest" || return 1
    while read -r name; do
        target=$(readlink "$system/etc/$name")
        [ "$(readlink "/etc/$name")" = "$target" ] && continue
        mkdir -p "$(dirname "/etc/$name")" && ln -sfn "$target" "/etc/$name.tmp" && mv -T "/etc/$name.tmp" "/etc/$name" || return 1
    done < "$manifest.new"
    comm -23 "$manifest" "$manifest.new" | while read -r name; do
        rm -f "/etc/$name"
        rmdir -p --ignore-fail-on-non-empty "$(dirname "/etc/$name")" 2>/dev/null
    done
    mv "$manifest.new" "$manifest"
}

echo "setting up /etc..."
link_etc || { echo "Activation script snippet 'etc' failed (1)"; status=2; }
while read -r name file <&3; do
    sh "$file" "$system" 3<&-
    code=$?
    [ $code -eq 0 ] || { echo "Activation script snippet '$name' failed ($code)"; status=2; }
done 3< "$system/activation-snippets"

ln -sfn "$system" /run/current-system
[ "${1:-}" != --boot ] || ln -sfn "$system" /run/booted-system
mkdir -p /nix/var/nix/gcroots
ln -sfn /run/current-system /nix/var/nix/gcroots/current-system
ln -sfn /run/booted-system /nix/var/nix/gcroots/booted-system
exit $status

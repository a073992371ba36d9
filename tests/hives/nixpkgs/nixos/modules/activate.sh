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
    # In one process: with several for each of dozens of links, this took most of an activation.
    perl -we '
        while (my $name = <STDIN>) {
            chomp $name;
            my $target = readlink("$ARGV[0]/etc/$name");
            my $present = readlink("/etc/$name");
            next if defined $present && $present eq $target;
            my $folder = "/etc";
            for my $part (split m{/}, $name =~ s{[^/]*$}{}r) {
                $folder .= "/$part";
                -d $folder or mkdir $folder or die "$folder: $!\n";
            }
            unlink "/etc/$name.tmp";
            symlink($target, "/etc/$name.tmp") && rename("/etc/$name.tmp", "/etc/$name") or die "/etc/$name: $!\n";
        }' "$system" < "$manifest.new" || return 1
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

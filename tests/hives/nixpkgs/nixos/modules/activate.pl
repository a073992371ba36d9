#!/usr/bin/perl -w
# Makes this system the node's current one: its files and units linked into /etc, activation snippets run in order.
# Starts and stops nothing. With --boot it also records this as the booted system: so the early unit of a node calls it.
# Exit 2 if a snippet failed; the rest runs all the same, as on NixOS.
#
# This is not a shell script because starting a process for each of dozens of links would take most of an activation.
use strict;
use Cwd 'abs_path';

$ENV{PATH} = "/usr/sbin:/usr/bin:/sbin:/bin";
$| = 1;
my $system = abs_path($0) =~ s{/[^/]*$}{}r;
my $manifest = "/etc/waggle-fixture-links"; # what is linked from a system, below /etc
my $status = 0;
$ENV{systemConfig} = $system; # for snippets

sub lines_of {
    my ($file) = @_;
    open(my $handle, "<", $file) or return ();
    chomp(my @lines = <$handle>);
    return @lines;
}

sub write_lines {
    my ($file, @lines) = @_;
    open(my $handle, ">", $file) or die "$file: $!\n";
    print $handle map("$_\n", @lines) or die "$file: $!\n";
    close($handle) or die "$file: $!\n";
}

sub move {
    my ($from, $to) = @_;
    rename($from, $to) or die "$to: $!\n";
    return 1;
}

sub link_to { # TARGET NAME
    my ($target, $name) = @_;
    unlink "$name.tmp";
    symlink($target, "$name.tmp") or die "$name: $!\n";
    move("$name.tmp", $name);
}

sub make_folders { # PATH RELATIVE
    my ($folder, $relative) = @_;
    for my $part (split m{/}, $relative) {
        $folder .= "/$part";
        -d $folder or mkdir $folder or die "$folder: $!\n";
    }
}

# The links below a folder, as paths from there.
sub links_below {
    my ($folder, $prefix) = @_;
    opendir(my $handle, $folder) or die "$folder: $!\n";
    my @found;
    for my $name (grep { $_ ne "." && $_ ne ".." } readdir $handle) {
        if (-l "$folder/$name") { push @found, "$prefix$name" }
        elsif (-d _) { push @found, links_below("$folder/$name", "$prefix$name/") }
    }
    return @found;
}

sub link_etc {
    my @new = sort(links_below("$system/etc", ""));
    my %is_new = map { $_ => 1 } @new;
    my @old = grep { !$is_new{$_} } lines_of($manifest);
    write_lines("$manifest.new", @new);
    # Before anything is linked, so that a run that is killed here leaves nothing unowned.
    write_lines("$manifest.tmp", sort(@old, @new));
    move("$manifest.tmp", $manifest);
    for my $name (@new) {
        my $target = readlink("$system/etc/$name");
        my $present = readlink("/etc/$name");
        next if defined $present && $present eq $target;
        make_folders("/etc", $name =~ s{[^/]*$}{}r);
        link_to($target, "/etc/$name");
    }
    for my $name (@old) {
        unlink "/etc/$name";
        while ($name =~ s{/[^/]*$}{}) { rmdir "/etc/$name" or last }
    }
    move("$manifest.new", $manifest);
}

print "setting up /etc...\n";
if (!eval { link_etc(); 1 }) {
    print "${@}Activation script snippet 'etc' failed (1)\n";
    $status = 2;
}
for (lines_of("$system/activation-snippets")) {
    my ($name, $file) = split ' ', $_, 2;
    system("sh", $file, $system);
    next if $? == 0;
    my $code = $? >> 8 || 128 + $?;
    print "Activation script snippet '$name' failed ($code)\n";
    $status = 2;
}

link_to($system, "/run/current-system");
link_to($system, "/run/booted-system") if @ARGV && $ARGV[0] eq "--boot";
# As on NixOS, a root that cannot be made does not fail the activation.
eval {
    make_folders("", "nix/var/nix/gcroots");
    link_to("/run/current-system", "/nix/var/nix/gcroots/current-system");
    link_to("/run/booted-system", "/nix/var/nix/gcroots/booted-system");
} or print $@;
exit $status;

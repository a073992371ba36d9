#!/usr/bin/perl -w
# What NixOS's program of this name does, for a Debian node: same arguments, same words, same contract. It
#   - takes the lock without waiting, and exits with errno where it is taken (11, EAGAIN);
#   - calls each pre-switch check with the new system and the action, before anything else;
#   - needs the D-Bus system bus for everything but `check` and `boot`, and does nothing without it;
#   - writes to standard error;
#   - exits with 1 (refused, or not possible), 2 (a snippet failed), 3 (systemd was not reloaded), 4 (units failed),
#     100 (the system can only be booted: nothing was activated), or with what errno happens to be.
use strict;
use Cwd 'abs_path';
use Fcntl qw(LOCK_EX LOCK_NB);

$ENV{PATH} = "/usr/sbin:/usr/bin:/sbin:/bin";
open(STDIN, "<", "/dev/null") && open(STDOUT, ">&", \*STDERR) or exit 1;
$| = 1;
my $system = abs_path($0) =~ s{/[^/]*/[^/]*$}{}r;
my $action = @ARGV ? $ARGV[0] : "";
my $units = "$system/etc/systemd/system";
my $installed = "/etc/systemd/system";
my $eagain = 11;

if ($action !~ /^(check|switch|boot|test|dry-activate)$/) {
    print "Usage: $0 [check|switch|boot|test|dry-activate]\n";
    exit 1;
}
$ENV{NIXOS_ACTION} = $action;

sub set { # NAME: whether the environment variable is 1
    my ($name) = @_;
    return ($ENV{$name} // "0") eq "1";
}
sub content_of { # FILE
    my ($file) = @_;
    open(my $handle, "<", $file) or return "";
    local $/;
    return scalar(<$handle>) // "";
}
sub lines_of { return split /\n/, content_of($_[0]) }
sub run { return system(@_) == 0 }
sub stop_with { # SENTENCE
    print "$_[0]\n";
    exit 1;
}
# How NixOS's program ends where it has found no better word: with errno, which something long past may have left there.
sub end_with_leftover_errno { exit content_of("$system/leftover-errno") }

# No child inherits the lock, because Perl closes it in children: a daemon that a hook or snippet leaves behind must not
# hold it.
mkdir "/run/nixos";
open(my $lock, ">>", "/run/nixos/switch-to-configuration.lock") or stop_with("the lock: $!");
if (!flock($lock, LOCK_EX | LOCK_NB)) {
    print "Could not acquire lock\n";
    exit $eagain;
}

if (!set("NIXOS_NO_CHECK")) {
    for (lines_of("$system/pre-switch-checks")) {
        my ($name, $file) = split ' ', $_, 2;
        next if run("sh", $file, $system, $action);
        print "Pre-switch check '$name' failed\n";
        end_with_leftover_errno();
    }
}
exit 0 if $action eq "check";

sub install_boot_loader {
    print "updating the stand-in boot loader...\n";
    print "installing the stand-in boot loader\n" if set("NIXOS_INSTALL_BOOTLOADER");
    my $default = abs_path("/nix/var/nix/profiles/system");
    stop_with("no system profile: there is nothing to boot by default") if !defined $default || !-d $default;
    for my $folder ("/boot", "/boot/loader", "/boot/kernels") {
        -d $folder or mkdir $folder or stop_with("$folder: $!");
    }
    for my $part ("kernel", "initrd") {
        my $file = abs_path("$default/$part");
        my $name = "/boot/kernels/" . $file =~ s{.*/}{}r;
        next if -e $name;
        next if run("cp", $file, "$name.tmp") && rename("$name.tmp", $name);
        unlink "$name.tmp";
        exit 1;
    }
    my $file = "/boot/loader/default";
    open(my $handle, ">", "$file.tmp") or stop_with("$file: $!");
    print($handle "$default\n") && close($handle) or stop_with("$file: $!");
    run("sync", "-f", "$file.tmp");
    rename("$file.tmp", $file) or stop_with("$file: $!");
    run("sync", "-f", $file);
}
install_boot_loader() if $action eq "switch" || $action eq "boot";
run("sync", "-f", "/nix/store") if !set("NIXOS_NO_SYNC");
exit 0 if $action eq "boot";

my $interface = "/run/current-system/init-interface-version";
if (-e $interface && content_of($interface) ne content_of("$system/init-interface-version")) {
    print "Warning: the new NixOS configuration has an 'init' that is incompatible with the current configuration.\n";
    print "The new configuration won't take effect until you reboot the system.\n";
    exit 100;
}

# NixOS's program asks systemd over the system bus; it has no other way.
sub need_bus {
    run("busctl --system --timeout=5 call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.DBus.Peer Ping >/dev/null 2>&1")
        or stop_with("Failed to open dbus connection");
}
need_bus();

# Whether a setting of a unit file is true, by the words that systemd takes for it.
sub flag { # FILE KEY DEFAULT
    my ($file, $key, $default) = @_;
    my @values = map { /^\Q$key\E=(.*)/ ? $1 : () } lines_of($file);
    return (@values && $values[-1] ne "" ? $values[-1] : $default) =~ /^(1|yes|true|on)$/;
}
# What of a unit file counts in a comparison: descriptions do not, and triggers of a reload are compared by themselves.
sub content { return join("\n", grep { !/^(X-Reload-Triggers|Description|Documentation|OnFailure)=/ } lines_of($_[0])) }
sub triggers { return join("\n", grep { /^X-Reload-Triggers=/ } lines_of($_[0])) }

# The states of all loaded units in one call, because starting systemctl is most of this program's time.
sub states {
    my %states;
    for (split /\n/, `systemctl list-units --all --full --plain --no-legend --no-pager`) {
        my ($unit, $load, $active, $sub) = split ' ';
        $states{$unit} = { active => $active, sub => $sub };
    }
    return %states;
}
sub set_of { return map { $_ => 1 } @_ }
sub sorted { my %unique = set_of(@_); return sort keys %unique }
sub say_units { # SENTENCE UNIT...
    my ($sentence, @units) = @_;
    print "$sentence: ", join(", ", @units), "\n" if @units;
}
sub entries { # FOLDER
    opendir(my $handle, $_[0]) or return ();
    return grep { $_ ne "." && $_ ne ".." } readdir $handle;
}

my @entries = entries($units);
my @known = sort grep { /\./ && !/\.(wants|requires)$/ } @entries;
my @dependencies = grep { /\.(wants|requires)$/ } @entries;
my @owned = map { m{^systemd/system/([^/]*)$} ? $1 : () } lines_of("/etc/waggle-fixture-links");
# Starting a target that is active starts whatever it newly wants.
my @wanting = sorted(map { s{\.[a-z]*$}{}r } @dependencies);
my %is_known = set_of(@known, @owned);

my %before = states();
my @failed_before = grep { $before{$_}{active} eq "failed" } keys %before;
my @active_before = grep {
    !/\@\./ && exists $before{$_} && $before{$_}{active} =~ /^(active|activating|reloading)$/
} sorted(@known, @owned, @wanting);
my %was_active = set_of(@active_before);
my @targets = grep { $was_active{$_} } @wanting;

my (@stop, @start, @restart, @reload, @skip);
for my $unit (grep { $is_known{$_} } @active_before) {
    my $file = "$units/$unit";
    if (!-e $file) {
        push @stop, $unit if flag("$installed/$unit", "X-StopOnRemoval", "true");
        next;
    }
    if ($unit =~ /\.target$/) {
        if (flag($file, "X-StopOnReconfiguration", "false")) { push @stop, $unit; push @start, $unit }
        next;
    }
    next if $unit =~ /\.(path|slice)$/; # daemon-reload is enough
    # In another file with the same content nothing has changed.
    if (content("$installed/$unit") eq content($file)) {
        push @reload, $unit if triggers("$installed/$unit") ne triggers($file);
        next;
    }
    next if $unit =~ /\.socket$/;
    my $socket = $unit =~ s/\.service$//r . ".socket";
    if ($unit =~ /\.mount$/) {
        push @restart, $unit;
    } elsif ($unit =~ /^(dbus|dbus-broker)\.service$/) {
        push @reload, $unit if flag($file, "X-ReloadIfChanged", "false");
    } elsif (flag($file, "X-ReloadIfChanged", "false")) {
        push @reload, $unit;
    } elsif (!flag($file, "X-RestartIfChanged", "true") || flag($file, "RefuseManualStop", "false") ||
        flag($file, "X-OnlyManualStart", "false")) {
        push @skip, $unit;
    } elsif (!flag($file, "X-StopIfChanged", "true") || $unit !~ /\.service$/) {
        push @restart, $unit;
    } elsif (-e "$units/$socket" && $was_active{$socket}) {
        push @stop, $unit, $socket;
        push @start, $socket;
    } else {
        push @stop, $unit;
        push @start, $unit;
    }
}

if ($action eq "dry-activate") {
    say_units("would stop the following units", @stop);
    say_units("would NOT restart the following changed units", @skip);
    print "would activate the configuration...\n";
    say_units("would reload the following units", @reload);
    say_units("would restart the following units", @restart);
    my %expected = set_of(@active_before, @start);
    my @new = grep { !$expected{$_} } sorted(map { entries("$units/$_") } @dependencies);
    say_units("would start the following units", @start, @new);
    exit 0;
}

my $result = 0;
say_units("stopping the following units", @stop);
run("systemctl", "stop", @stop) if @stop;
say_units("NOT restarting the following changed units", @skip);

print "activating the configuration...\n";
run("$system/activate") or $result = 2;
run("systemctl", "daemon-reload") or $result = 3;
# What comes before sysinit.target, users where a unit makes them, comes before other units in a switch, too.
my $reactivation = "sysinit-reactivation.target";
-e "$units/$reactivation" and !run("systemctl", "restart", $reactivation) and $result = 4;
my $tmpfiles = "/etc/tmpfiles.d/00-nixos.conf";
run("systemd-tmpfiles", "--create", $tmpfiles) if -e $tmpfiles;

say_units("reloading the following units", @reload);
@reload and !run("systemctl", "reload", @reload) and $result = 4;
say_units("restarting the following units", @restart);
@restart and !run("systemctl", "restart", @restart) and $result = 4;
say_units("starting the following units", @start);
@start + @targets and !run("systemctl", "start", @start, @targets) and $result = 4;

# Jobs and states come over the bus, too: a switch that brings emergency mode does not see its own end.
need_bus();
# A service that systemd is about to start again has failed where its last end was a failure.
my %now = states();
my @present = grep { !/\@\./ && exists $now{$_} } @known;
my @failed = grep { $now{$_}{active} eq "failed" } @present;
for my $unit (grep { $now{$_}{sub} eq "auto-restart" } @present) {
    chomp(my $code = `systemctl show --value --property=ExecMainStatus $unit`);
    push @failed, $unit if $code ne "0";
}
my %not_new = set_of(@active_before, @start, @failed);
my @started = grep { $now{$_}{active} =~ /^(active|activating)$/ && !$not_new{$_} } @present;
my %failed_already = set_of(@failed_before, @failed);
push @failed, grep { $now{$_}{active} eq "failed" && !$failed_already{$_} } sort keys %now;
say_units("the following new units were started", @started);
if (@failed) {
    say_units("warning: the following units failed", @failed);
    run("systemctl", "status", "--no-pager", "--full", @failed);
    $result = 4;
}
exit $result;

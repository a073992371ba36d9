#pragma once

#include <string>
#include <vector>

namespace waggle::agent {

// The purpose of a transient unit of ours. Each unit gets only the permissions that it needs.
enum class UnitPurpose {
    // Runs switch-to-configuration, boot loaders and activation snippets of the new or the previous system. They mount,
    // make device nodes and setuid programs, load modules, set the host name and start any program, with effect on the
    // whole node. Any restriction would restrict NixOS itself.
    change_system,
    // Runs the hive's own commands as root, with the same permissions as during an activation: otherwise `waggle
    // check-health` would contradict it.
    check_health,
    // Compares the secrets' files with the state and prints a report.
    report_secrets,
    // Requests a reboot from systemd.
    ask_systemd,
};

// Options of systemd-run: --property=… for each restriction. nixos-module/keys.nix has the same for the units of
// secrets.
std::vector<std::string> sandbox_options(UnitPurpose purpose);

} // namespace waggle::agent

#pragma once

#include <filesystem>
#include <string>

namespace waggle::agent {

// NixOS's system.switch.inhibitors: TOPLEVEL/switch-inhibitors, a JSON object of strings (nixpkgs,
// nixos/modules/system/activation/switchable-system.nix). A running system refuses to be switched to one that has
// another string. Returns those that differ, as in "dbus-implementation (dbus, then broker)", or "" if there are none
// or a system has no such file. Throws Error.
std::string describe_changed_inhibitors(const std::filesystem::path& running, const std::filesystem::path& next);

} // namespace waggle::agent

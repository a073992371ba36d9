#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace waggle::agent {

// The lock that newer versions of switch-to-configuration take (flock(2)) without waiting. If another process holds it,
// they do nothing and exit with EAGAIN.
inline constexpr auto switch_lock_file = "/run/nixos/switch-to-configuration.lock";
inline constexpr int switch_lock_taken = 11; // EAGAIN on Linux, as an exit code

// The holder of the lock: "process 123 (nixos-rebuild)" or "another process". Returns nullopt if it is free.
std::optional<std::string> holder_of_switch_lock(const std::filesystem::path& file = switch_lock_file);

} // namespace waggle::agent

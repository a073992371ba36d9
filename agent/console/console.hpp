#pragma once

#include <filesystem>
#include <optional>

namespace waggle::agent {

// The commands for a person at the node's console. They need no network. Each returns the process's exit code and
// throws Error.

// Rolls back a deployment that is under way. After a successful deployment, makes the previous system run and boot.
int roll_back_at_console(const std::optional<std::filesystem::path>& state_dir);
// Stops the rollback timers and ends the deployment. The running system stays until the next boot.
int disarm_at_console(const std::optional<std::filesystem::path>& state_dir);
// Makes the keys in the file, or those of the running configuration, the only operators until a configuration with
// other operators is committed. Booting an older generation does not restore a removed operator.
int adopt_at_console(const std::optional<std::filesystem::path>& file,
                     const std::optional<std::filesystem::path>& config_file,
                     const std::optional<std::filesystem::path>& state_dir);
// Sets aside an unreadable state file.
int reset_state_at_console(const std::optional<std::filesystem::path>& state_dir);
// Treats the newest deployment as admitted now, if it is dated ahead of this node's clock.
int reset_clock_at_console(const std::optional<std::filesystem::path>& state_dir);

} // namespace waggle::agent

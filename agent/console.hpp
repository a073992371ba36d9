#pragma once

#include <filesystem>
#include <optional>

namespace waggle::agent {

// What a person can do at the node's console, without any network. The process's exit code; throws Error.

// The state directory that was given, else the one that the agent's unit is configured with.
std::filesystem::path find_state_dir(const std::optional<std::filesystem::path>& given);
// The configuration that the agent's unit of the system that runs names.
std::optional<std::filesystem::path> config_of_unit();

// Ends a deployment that is under way by going back; of one that has ended well, makes the system before it run and
// boot.
int roll_back_at_console(const std::optional<std::filesystem::path>& state_dir);
// Stops the rollback timers and ends the deployment: what runs is kept until the next boot.
int disarm_at_console(const std::optional<std::filesystem::path>& state_dir);
// Makes exactly those operators whose keys are in the file, else those of the configuration that runs; until a
// configuration is committed that names others. Whoever was removed stays so when an older generation is booted.
int adopt_at_console(const std::optional<std::filesystem::path>& file,
                     const std::optional<std::filesystem::path>& config_file,
                     const std::optional<std::filesystem::path>& state_dir);
// Moves a state that cannot be read aside.
int reset_state_at_console(const std::optional<std::filesystem::path>& state_dir);

} // namespace waggle::agent

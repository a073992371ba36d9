#pragma once

#include <filesystem>
#include <optional>

namespace waggle::agent {

// What a person can do at the node's console, without any network. The process's exit code; throws Error.

// The state directory that was given, else the one that the agent's unit is configured with.
std::filesystem::path find_state_dir(const std::optional<std::filesystem::path>& given);
// The configuration that an agent's unit names: of the system that runs, or of the one with this unit.
std::optional<std::filesystem::path> config_of_unit();
std::optional<std::filesystem::path> config_of_unit(const std::filesystem::path& unit_file);

// Ends a deployment that is under way by going back; of one that has ended well, makes the system before it run and
// boot.
int roll_back_at_console(const std::optional<std::filesystem::path>& state_dir);
// Stops the rollback timers and ends the deployment: what runs is kept until the next boot.
int disarm_at_console(const std::optional<std::filesystem::path>& state_dir);
// Moves a state that cannot be read aside.
int reset_state_at_console(const std::optional<std::filesystem::path>& state_dir);

} // namespace waggle::agent

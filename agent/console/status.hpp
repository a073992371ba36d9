#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace waggle::agent {

// `waggle-agent status`: this node's identity, state and newest deployment, for a person at its console. Needs neither
// network nor a running agent. The configuration file defaults to the one that the agent's unit names.
std::string describe_status(std::optional<std::filesystem::path> config_file,
                            std::optional<std::filesystem::path> state_dir);

// `waggle-agent history`: the ended deployments of this node, the newest last.
std::string describe_history(const std::optional<std::filesystem::path>& state_dir);

} // namespace waggle::agent

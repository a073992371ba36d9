#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace waggle::agent {

// `waggle-agent status`: what this node is and what it was told last, for a person at its console. Needs no network and
// no running agent. Without a configuration file, the one that the agent's unit names is looked at.
std::string describe_status(std::optional<std::filesystem::path> config_file,
                            std::optional<std::filesystem::path> state_dir);

// `waggle-agent history`: the deployments that have ended here, the newest last.
std::string describe_history(const std::optional<std::filesystem::path>& state_dir);

} // namespace waggle::agent

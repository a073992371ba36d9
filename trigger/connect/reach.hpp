#pragma once

#include "trigger/hive/hive.hpp"

#include <cstddef>
#include <optional>
#include <string>

namespace waggle::trigger {

// How one run reaches agents, in addition to the hive's options.
struct Reach {
    std::optional<bool> via_ssh;            // overrides deployment.agent.via
    std::optional<std::string> former_node; // services.waggle-agent.node in the running configuration
    std::optional<std::string> former_hive; // services.waggle-agent.hive in the running configuration
};

// Throws Error if a former node name is given for several nodes.
void require_fitting(const Reach& reach, size_t nodes);

// Applies `reach` to one node's address.
void set_reach(const Reach& reach, NodeAddress& address);

} // namespace waggle::trigger

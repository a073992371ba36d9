#pragma once

#include "trigger/hive/hive.hpp"

#include <optional>
#include <span>

namespace waggle::trigger {

// Decides which nodes build their own systems: as `on_target` says, otherwise as the hive says, if the node has an
// agent that can be reached.
void choose_builders(std::span<EvaluatedNode> nodes, std::optional<bool> on_target);

} // namespace waggle::trigger

#pragma once

#include "trigger/deploy/deploy_context.hpp"

namespace waggle::trigger {

// Deploys one node, from the first connection to the result, and reports how it ended.
NodeReport deploy_node(const DeployedNode& node, const Intent& intent, const DeployContext& context) noexcept;

} // namespace waggle::trigger

#pragma once

#include "agent/activation/system_actions.hpp"

namespace waggle::agent {

// Whether another process has switched the node or changed its profile since the activation.
bool is_superseded(const DeploymentRecord& record, SystemActions& actions);
// Ends the deployment as superseded and leaves the system unchanged.
void end_as_superseded(SystemActions& actions);

} // namespace waggle::agent

#pragma once

#include "agent/system_actions.hpp"

namespace waggle::agent {

// Keeps the system that runs: an `activated` record that was confirmed, or a `committing` one that was cut off. Goal
// `test` ends here without a commit. Goes back when the profile or the boot loader cannot be set.
void commit(SystemActions& actions);

// Whether somebody else has switched the node since the activation, or changed its profile.
bool is_superseded(const DeploymentRecord& record, SystemActions& actions);
// Hands off, and says so.
void leave_to_others(SystemActions& actions);

} // namespace waggle::agent

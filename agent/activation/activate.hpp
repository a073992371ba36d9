#pragma once

#include "agent/activation/system_actions.hpp"

namespace waggle::agent {

// Switches the machine to the toplevel of the record, which is `activating`. Leaves the record `activated`, to be
// confirmed through an agent of the new system, or rolls back at once if the switch fails. Commits goals and options
// that need no confirmation.
void activate(SystemActions& actions);

} // namespace waggle::agent

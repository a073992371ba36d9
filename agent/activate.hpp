#pragma once

#include "agent/system_actions.hpp"

namespace waggle::agent {

// Makes the machine run the toplevel of the record, which is `activating`, and leaves it `activated`, to be confirmed
// through an agent of the new system; or goes back at once to what ran before when that fails. Goals and options that
// need no confirmation are committed here.
void activate(SystemActions& actions);

} // namespace waggle::agent

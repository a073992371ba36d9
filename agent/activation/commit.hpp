#pragma once

#include "agent/activation/system_actions.hpp"

namespace waggle::agent {

// Makes the running system permanent. The record is `activated` and confirmed, or `committing` after an interruption.
// Ends goal `test` without a commit. Rolls back if the profile or the boot loader cannot be set.
void commit(SystemActions& actions);

} // namespace waggle::agent

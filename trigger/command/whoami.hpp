#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// Prints which key signs for this person, and asks the nodes whether they admit it. Exit code 0 when all that answer
// do.
int whoami(const GlobalOptions& global, const WhoamiOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

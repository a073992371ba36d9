#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// Asks the agents what they are and prints a table.
int status(const GlobalOptions& global, const StatusOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

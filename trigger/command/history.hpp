#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// Prints what was deployed to the nodes.
int history(const GlobalOptions& global, const HistoryOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

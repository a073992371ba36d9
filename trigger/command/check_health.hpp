#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// Has the nodes run the health checks of what they run, and says what came out. Exit code 4: some are not well.
int check_health(const GlobalOptions& global, const CheckHealthOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

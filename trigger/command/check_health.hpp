#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/ask.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// Has one node run its health checks. Throws what open_session throws.
protocol::HealthReport ask_for_health(const NodeQuery& asked);
// What they make of the run.
NodeReport report_of(const protocol::HealthReport& health);

// Has the nodes run the health checks of what they run, and says what came out. Exit code 4: some are not well.
int check_health(const GlobalOptions& global, const CheckHealthOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

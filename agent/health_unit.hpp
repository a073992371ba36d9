#pragma once

#include "shared/protocol/messages.hpp"

#include <filesystem>

namespace waggle::agent {

// The health checks of the system that runs, carried out in a transient unit (`waggle-agent check-health`), because the
// daemon that asks for it is sandboxed. Throws Error when the unit could not be started or did not end.
protocol::HealthReport check_health_in_unit();

// The subcommand `check-health`: runs them here and says how it went. Exit code 0: well; 6: not.
int check_health();

} // namespace waggle::agent

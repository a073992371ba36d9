#pragma once

#include "shared/protocol/messages.hpp"

#include <filesystem>

namespace waggle::agent {

// Runs the health checks of the running system in a transient unit (`waggle-agent check-health`), because the daemon is
// sandboxed. Throws Error if the unit could not be started or did not end.
protocol::HealthReport check_health_in_unit();

// The subcommand `check-health`: runs the checks in this process and prints the result. Exit code 0: healthy; 6: not.
int check_health();

} // namespace waggle::agent

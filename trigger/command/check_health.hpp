#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/ask.hpp"
#include "trigger/command/subcommand.hpp"

namespace waggle::trigger {

struct CheckHealthOptions {
    SelectOptions select;
    ConnectOptions connect;
};

// Lets one node run its health checks. Throws what open_session throws.
protocol::HealthReport ask_for_health(const NodeQuery& asked);
// Returns the node's report for the result of its health checks.
NodeReport report_of(const protocol::HealthReport& health);

// Lets the nodes check the health of their running systems, and prints the results. Exit code 4: some nodes are
// unhealthy.
int check_health(const GlobalOptions& global, const CheckHealthOptions& options, const Interrupt& interrupt);

Subcommand check_health_subcommand(CLI::App& waggle);

} // namespace waggle::trigger

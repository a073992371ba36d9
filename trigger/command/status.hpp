#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/subcommand.hpp"

namespace waggle::trigger {

struct StatusOptions {
    SelectOptions select;
    ConnectOptions connect;
};

// Prints a table of the facts that the agents report.
int status(const GlobalOptions& global, const StatusOptions& options, const Interrupt& interrupt);

Subcommand status_subcommand(CLI::App& waggle);

} // namespace waggle::trigger

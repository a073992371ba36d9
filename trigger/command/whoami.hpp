#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/subcommand.hpp"

namespace waggle::trigger {

struct WhoamiOptions {
    SelectOptions select;
    ConnectOptions connect;
};

// Prints the operator's key, and whether the nodes admit it. Exit code 0: every node that was asked admits it.
int whoami(const GlobalOptions& global, const WhoamiOptions& options, const Interrupt& interrupt);

Subcommand whoami_subcommand(CLI::App& waggle);

} // namespace waggle::trigger

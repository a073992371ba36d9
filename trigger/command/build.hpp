#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/subcommand.hpp"

namespace waggle::trigger {

// The options of `waggle build`, which connects only to nodes that build their own systems.
struct BuildCommandOptions {
    BuildOptions build;
    ConnectOptions connect;
};

// Evaluates and builds, on this machine or on the nodes. Prints each node with its system's store path, or with that of
// its derivation if dry_run is set.
int build(const GlobalOptions& global, const BuildCommandOptions& command, const Interrupt& interrupt);

Subcommand build_subcommand(CLI::App& waggle);

} // namespace waggle::trigger

#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// Evaluates and builds, here or on the nodes; prints each node with its system's store path (its derivation's with
// dry_run).
int build(const GlobalOptions& global, const BuildCommandOptions& command, const Interrupt& interrupt);

} // namespace waggle::trigger

#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// Evaluates and builds; prints each node with its system's store path (its derivation's with dry_run).
int build(const GlobalOptions& global, const BuildOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

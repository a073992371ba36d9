#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// Deploys again what made an earlier generation of each node, signed anew.
int rollback(const GlobalOptions& global, const RollbackOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

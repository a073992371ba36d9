#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// Evaluates, builds and deploys. Returns the exit code; throws Error for what concerns no single node.
int apply(const GlobalOptions& global, const ApplyOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// Gives { pkgs, lib, nodes } of the hive to a function, and prints what it makes of them as JSON, or the derivations
// that it instantiates.
int eval(const GlobalOptions& global, const EvalOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

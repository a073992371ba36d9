#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// Confirms deployments that an operator has left, so that the nodes keep their new systems.
int confirm(const GlobalOptions& global, const ConfirmOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

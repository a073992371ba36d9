#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// Reboots nodes and waits until each answers from another boot.
int reboot(const GlobalOptions& global, const RebootOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

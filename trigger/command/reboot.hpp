#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/ask.hpp"
#include "trigger/command/options.hpp"

#include <chrono>

namespace waggle::trigger {

// Has one node reboot, and waits until it answers from another boot. Throws what open_session throws.
NodeReport reboot_node(const NodeQuery& asked, std::chrono::seconds timeout);

// Reboots nodes and waits until each answers from another boot.
int reboot(const GlobalOptions& global, const RebootOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

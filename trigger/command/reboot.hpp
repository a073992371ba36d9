#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/ask.hpp"
#include "trigger/command/subcommand.hpp"

#include <chrono>

namespace waggle::trigger {

struct RebootOptions {
    SelectOptions select;
    ConnectOptions connect;
    size_t timeout = 600; // seconds, from the order to the answer of the rebooted node
};

// Reboots one node, and waits until it answers from another boot. Throws what open_session throws.
NodeReport reboot_node(const NodeQuery& asked, std::chrono::seconds timeout);

// Reboots nodes and waits until each answers from another boot.
int reboot(const GlobalOptions& global, const RebootOptions& options, const Interrupt& interrupt);

Subcommand reboot_subcommand(CLI::App& waggle);

} // namespace waggle::trigger

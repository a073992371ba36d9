#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/subcommand.hpp"

namespace waggle::trigger {

struct ConfirmOptions {
    SelectOptions select;
    ConnectOptions connect;
};

// Confirms deployments whose operator has left, so that the nodes keep their new systems.
int confirm(const GlobalOptions& global, const ConfirmOptions& options, const Interrupt& interrupt);

Subcommand confirm_subcommand(CLI::App& waggle);

} // namespace waggle::trigger

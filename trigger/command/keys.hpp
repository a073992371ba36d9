#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/subcommand.hpp"

namespace waggle::trigger {

struct KeysOptions {
    SelectOptions select;
    ConnectOptions connect;
};

// `waggle keys`: shows the status of the nodes' secrets. It never shows their contents, and the nodes do not send them.
int keys(const GlobalOptions& global, const KeysOptions& options, const Interrupt& interrupt);

Subcommand keys_subcommand(CLI::App& waggle);

} // namespace waggle::trigger

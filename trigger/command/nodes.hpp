#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/subcommand.hpp"

namespace waggle::trigger {

struct NodesOptions {
    SelectOptions select;
};

// Lists the hive's nodes with their tags, hosts and systems. Connects to none of them.
int nodes(const GlobalOptions& global, const NodesOptions& options, const Interrupt& interrupt);

Subcommand nodes_subcommand(CLI::App& waggle);

} // namespace waggle::trigger

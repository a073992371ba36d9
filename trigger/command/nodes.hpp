#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// Lists the hive's nodes with their tags, hosts and systems. Asks none of them.
int nodes(const GlobalOptions& global, const NodesOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

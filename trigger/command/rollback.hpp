#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/build/store.hpp"
#include "trigger/command/ask.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// Asks a node for what made a generation, holds it to the signature of one of its operators and deploys it there again.
// What the node has lost of it is read from the store. Throws what open_session throws.
NodeReport roll_back_node(const NodeQuery& asked, const RollbackOptions& options, const Store& store = Store());

// Deploys again what made an earlier generation of each node, signed anew.
int rollback(const GlobalOptions& global, const RollbackOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/build/store.hpp"
#include "trigger/command/ask.hpp"
#include "trigger/command/subcommand.hpp"
#include "trigger/deploy/packed_nars.hpp"
#include "trigger/deploy/upload_limit.hpp"

namespace waggle::trigger {

struct RollbackOptions {
    SelectOptions select;
    ConnectOptions connect;
    std::optional<size_t> generation; // default: the one before the running system
    bool force = false;
};

// Gets from a node the deployment of an earlier generation, verifies that one of the node's operators has signed it,
// and deploys it there again. Reads the paths that the node has lost from `store`. Throws what open_session throws.
NodeReport roll_back_node(const NodeQuery& asked, const RollbackOptions& options, const Store& store = Store(),
                          PackedNars* packed_nars = nullptr, UploadLimit* upload_limit = nullptr);

// Deploys the system of an earlier generation of each node again, with a new signature.
int rollback(const GlobalOptions& global, const RollbackOptions& options, const Interrupt& interrupt);

Subcommand rollback_subcommand(CLI::App& waggle);

} // namespace waggle::trigger

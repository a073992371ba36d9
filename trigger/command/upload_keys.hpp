#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/subcommand.hpp"

namespace waggle::trigger {

struct UploadKeysOptions {
    SelectOptions select;
    ConnectOptions connect;
    bool force = false;
};

// `waggle upload-keys`: seals the nodes' secrets and sends them, without evaluating or building systems.
int upload_keys(const GlobalOptions& global, const UploadKeysOptions& options, const Interrupt& interrupt);

Subcommand upload_keys_subcommand(CLI::App& waggle);

} // namespace waggle::trigger

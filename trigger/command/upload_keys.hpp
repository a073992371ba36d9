#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// `waggle upload-keys`: seals the nodes' secrets and hands them over, without evaluating or building systems.
int upload_keys(const GlobalOptions& global, const UploadKeysOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

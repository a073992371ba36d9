#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// `waggle keys`: asks the nodes how their secrets are. Their contents are never shown, nor sent by the nodes.
int keys(const GlobalOptions& global, const KeysOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

namespace waggle::trigger {

// Becomes `nix repl` with pkgs, lib and nodes of the hive. Returns only by throwing Error.
int repl(const GlobalOptions& global, const Interrupt& interrupt);

} // namespace waggle::trigger

#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/subcommand.hpp"

namespace waggle::trigger {

struct ReplOptions {};

// Replaces this process by `nix repl` with pkgs, lib and nodes of the hive. Returns only by throwing Error.
int repl(const GlobalOptions& global, const ReplOptions& options, const Interrupt& interrupt);

Subcommand repl_subcommand(CLI::App& waggle);

} // namespace waggle::trigger

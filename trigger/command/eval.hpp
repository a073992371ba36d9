#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/subcommand.hpp"

namespace waggle::trigger {

struct EvalOptions {
    std::optional<std::string> expression;
    std::optional<std::filesystem::path> file;
    bool instantiate = false;
};

// Calls a function with { pkgs, lib, nodes } of the hive. Prints its result as JSON, or the derivations that it
// instantiates.
int eval(const GlobalOptions& global, const EvalOptions& options, const Interrupt& interrupt);

Subcommand eval_subcommand(CLI::App& waggle);

} // namespace waggle::trigger

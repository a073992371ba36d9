#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/ask.hpp"
#include "trigger/command/subcommand.hpp"

#include <string>
#include <vector>

namespace waggle::trigger {

struct HistoryOptions {
    SelectOptions select;
    ConnectOptions connect;
    size_t limit = 20; // entries per node
};

// Returns the history that one node keeps, newest entry first. Throws what open_session throws.
std::vector<protocol::HistoryEntry> ask_for_history(const NodeQuery& asked, size_t limit);
// Returns a row of the table, safe to print.
std::vector<std::string> history_row(const std::string& node, const protocol::HistoryEntry& entry);

// Prints what was deployed to the nodes.
int history(const GlobalOptions& global, const HistoryOptions& options, const Interrupt& interrupt);

Subcommand history_subcommand(CLI::App& waggle);

} // namespace waggle::trigger

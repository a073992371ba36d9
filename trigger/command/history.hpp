#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/ask.hpp"
#include "trigger/command/options.hpp"

#include <string>
#include <vector>

namespace waggle::trigger {

// What one node remembers, the newest first. Throws what open_session throws.
std::vector<protocol::HistoryEntry> ask_for_history(const NodeQuery& asked, size_t limit);
// A line of the table, safe to print.
std::vector<std::string> history_row(const std::string& node, const protocol::HistoryEntry& entry);

// Prints what was deployed to the nodes.
int history(const GlobalOptions& global, const HistoryOptions& options, const Interrupt& interrupt);

} // namespace waggle::trigger

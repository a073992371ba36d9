#pragma once

#include "trigger/report/node_report.hpp"

#include <span>
#include <string>
#include <vector>

namespace waggle::trigger {

// Formats a table with a header. Columns are as wide as needed; `right` ones are right-aligned.
struct Column {
    std::string title;
    bool right = false;
};
std::string format_table(const std::vector<Column>& header, const std::vector<std::vector<std::string>>& rows);

// Formats the reason for every report that has one, and for failures also the last lines of the log.
std::string format_failures(std::span<const NodeReport> reports, bool color);

// Formats the nodes' answers. Equal answers appear once.
std::string format_answers(std::span<const NodeReport> reports);

// Formats the end of a run: the table, the answers and the failures.
std::string format_summary(std::span<const NodeReport> reports, bool color);

// Sorts by the nodes' names, the order in which reports are shown.
void sort_by_node(std::vector<NodeReport>& reports);

// The outcome that decides the exit code.
protocol::Outcome worst_outcome(std::span<const NodeReport> reports);

} // namespace waggle::trigger

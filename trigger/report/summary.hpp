#pragma once

#include "trigger/report/node_report.hpp"

#include <span>
#include <string>
#include <vector>

namespace waggle::trigger {

// A table with a header; columns as wide as needed, `right` ones aligned to the right.
struct Column {
    std::string title;
    bool right = false;
};
std::string format_table(const std::vector<Column>& header, const std::vector<std::vector<std::string>>& rows);

// For every report with something to say: the reason, and for failures the last lines of the log.
std::string format_failures(std::span<const NodeReport> reports, bool color);

// What nodes have answered: once for those with the same answer.
std::string format_answers(std::span<const NodeReport> reports);

// What is printed at the end of a run: the table, the answers and the failures.
std::string format_summary(std::span<const NodeReport> reports, bool color);

// In the order of the nodes' names, in which they are shown.
void sort_by_node(std::vector<NodeReport>& reports);

// The outcome that decides the exit code.
protocol::Outcome worst_outcome(std::span<const NodeReport> reports);

} // namespace waggle::trigger

#pragma once

#include "trigger/report/node_report.hpp"
#include "trigger/report/reporter.hpp"

#include <mutex>
#include <vector>

namespace waggle::trigger {

// Collects the nodes that fail in a run, from any thread.
class NodeFailures {
public:
    explicit NodeFailures(Reporter& reporter) : reporter_(reporter) {}

    // Shows that the node has failed, and keeps its report for the result.
    void add(NodeReport report);
    // Returns the reports in the order in which they were added, and keeps none of them.
    std::vector<NodeReport> take();

private:
    Reporter& reporter_;
    std::mutex mutex_; // guards reports_
    std::vector<NodeReport> reports_;
};

} // namespace waggle::trigger

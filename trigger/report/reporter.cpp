#include "trigger/report/reporter.hpp"

#include "trigger/report/node_report.hpp"

namespace waggle::trigger {

std::string_view to_string(Step step) {
    switch (step) {
    case Step::waiting: return "waiting";
    case Step::evaluating: return "evaluating";
    case Step::building: return "building";
    case Step::built: return "built";
    case Step::reading_secrets: return "reading secrets";
    case Step::connecting: return "connecting";
    case Step::deploying: return "deploying";
    case Step::fetching: return "fetching";
    case Step::staged: return "staged";
    case Step::activating: return "activating";
    case Step::activated: return "activated";
    case Step::committed: return "committed";
    case Step::rolling_back: return "rolling back";
    case Step::reconnecting: return "reconnecting";
    case Step::confirming: return "confirming";
    }
    return "?";
}

void show_end(Reporter& reporter, const NodeReport& report) {
    reporter.ended(report.node, report.outcome, report.message.substr(0, report.message.find('\n')));
}

} // namespace waggle::trigger

#include "trigger/report/node_failures.hpp"

#include <utility>

namespace waggle::trigger {

void NodeFailures::add(NodeReport report) {
    show_end(reporter_, report);
    const std::scoped_lock lock(mutex_);
    reports_.push_back(std::move(report));
}

std::vector<NodeReport> NodeFailures::take() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(reports_, {});
}

} // namespace waggle::trigger

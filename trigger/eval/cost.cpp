#include "trigger/eval/cost.hpp"

#include <algorithm>

namespace waggle::trigger {

void CostLine::observe(size_t nodes, double cost) {
    observations_.emplace_back(nodes, cost);
}

CostLine::Line CostLine::line() const {
    if (observations_.empty())
        return assumed_;
    const double count = static_cast<double>(observations_.size());
    double mean_nodes = 0, mean_cost = 0;
    for (const auto& [nodes, cost] : observations_) {
        mean_nodes += static_cast<double>(nodes) / count;
        mean_cost += cost / count;
    }
    double spread = 0, together = 0;
    for (const auto& [nodes, cost] : observations_) {
        const double distance = static_cast<double>(nodes) - mean_nodes;
        spread += distance * distance;
        together += distance * (cost - mean_cost);
    }
    if (spread == 0) { // all of one size: keep the assumed proportion
        const double factor =
            mean_cost / assumed_.at(static_cast<size_t>(mean_nodes)); // sizes are equal, so the mean is whole
        return {assumed_.of_process * factor, assumed_.of_node * factor};
    }
    // Least squares, with a lower bound for a node: processes with one and two nodes may differ by less than their
    // costs vary.
    constexpr double least_part_of_assumed = 0.2;
    const double of_node = std::max(together / spread, assumed_.of_node * least_part_of_assumed);
    const double of_process = mean_cost - of_node * mean_nodes;
    if (of_process < 0)
        return {0, mean_cost / mean_nodes};
    return {of_process, of_node};
}

double CostLine::expected(size_t nodes) const {
    return line().at(nodes);
}

double CostLine::at_most(size_t nodes) const {
    const Line now = line();
    double factor = 1;
    for (const auto& [observed_nodes, cost] : observations_)
        factor = std::max(factor, cost / now.at(observed_nodes));
    return now.at(nodes) * factor;
}

} // namespace waggle::trigger

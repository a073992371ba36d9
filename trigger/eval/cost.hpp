#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace waggle::trigger {

// The cost of a process that evaluates some nodes, as a line: a part for the process and a part for each node. It
// begins with an assumption and learns from observed processes. The unit may be anything, such as bytes or seconds.
class CostLine {
public:
    CostLine(double of_process, double of_node) : assumed_{of_process, of_node} {}

    void observe(size_t nodes, double cost);
    bool knows_anything() const { return !observations_.empty(); }

    // The expected cost of a process with this many nodes, by all observations.
    double expected(size_t nodes) const;
    // The same, raised until no observed process has cost more than expected.
    double at_most(size_t nodes) const;

private:
    struct Line {
        double of_process;
        double of_node;
        double at(size_t nodes) const { return of_process + of_node * static_cast<double>(nodes); }
    };
    Line line() const;

    Line assumed_;
    std::vector<std::pair<size_t, double>> observations_;
};

} // namespace waggle::trigger

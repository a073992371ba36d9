#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace waggle::trigger {

// What a process costs that evaluates some nodes, as a line: so much for the process, so much for each node. Begins
// with an assumption and learns from what processes took. Whatever the unit: bytes, seconds.
class CostLine {
public:
    CostLine(double of_process, double of_node) : assumed_{of_process, of_node} {}

    void observe(size_t nodes, double cost);
    bool knows_anything() const { return !observations_.empty(); }

    // What a process with so many nodes will take, by all that is known.
    double expected(size_t nodes) const;
    // The same, raised until no process that was observed took more than was expected of it.
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

#pragma once

#include "trigger/report/node_report.hpp"

#include <filesystem>
#include <span>

namespace waggle::trigger {

// The wall time of a run's phases. A phase that nodes go through in parallel counts as long as in the slowest node.
struct Timings {
    std::chrono::steady_clock::duration evaluate{};
    std::chrono::steady_clock::duration build{};
};

// {"evaluate_s": 1.23, "build_s": …, "connect_s": …, "fetch_s": …, "activate_s": …}
void write_timings(const std::filesystem::path& file, const Timings& timings, std::span<const NodeReport> reports);

} // namespace waggle::trigger

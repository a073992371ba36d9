#pragma once

#include "shared/protocol/outcome.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::trigger {

// The last lines of a node's log, kept for the report of a failure.
class LogTail {
public:
    static constexpr size_t max_lines = 20;
    static constexpr size_t max_line_bytes = 4096; // more of it is not shown anyway

    void add(std::string_view line) {
        lines_.emplace_back(line.substr(0, max_line_bytes));
        if (lines_.size() > max_lines)
            lines_.pop_front();
    }
    const std::deque<std::string>& lines() const { return lines_; }

private:
    std::deque<std::string> lines_;
};

// How a run ended for one node.
struct NodeReport {
    std::string node;
    protocol::Outcome outcome = protocol::Outcome::ok;
    std::string headline; // instead of the outcome's word, of a node that was asked and not deployed
    std::string code;     // short stable word of a refusal or failure, as the agent gave it
    std::string message;  // what is wrong and what to do; may have several lines; as it came
    LogTail log;
    std::optional<std::uint64_t> generation;
    std::uint64_t bytes_sent = 0;
    std::chrono::steady_clock::duration elapsed{};

    // Wall time of the phases, for --timings.
    std::chrono::steady_clock::duration connect_time{};
    std::chrono::steady_clock::duration fetch_time{};
    std::chrono::steady_clock::duration activate_time{};
};

} // namespace waggle::trigger

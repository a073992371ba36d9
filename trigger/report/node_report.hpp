#pragma once

#include "shared/protocol/outcome.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace waggle::trigger {

// The last lines of a node's log, kept for the report of a failure.
class LogTail {
public:
    static constexpr size_t max_lines = 20;
    static constexpr size_t max_line_bytes = 4096; // more of it is not shown anyway

    void add(std::string_view line) {
        lines_.emplace_back(line.substr(0, max_line_bytes));
        if (lines_.size() > kept_lines_)
            lines_.pop_front();
    }
    void keep_lines(size_t count) { kept_lines_ = count; }
    const std::deque<std::string>& lines() const { return lines_; }

    // What follows is of the rollback: its lines must not displace those that say why.
    void begin_rollback() {
        if (before_rollback_.empty())
            before_rollback_ = std::exchange(lines_, {});
    }
    const std::deque<std::string>& before_rollback() const { return before_rollback_; }

private:
    size_t kept_lines_ = max_lines;
    std::deque<std::string> lines_;
    std::deque<std::string> before_rollback_;
};

// How a run ended for one node.
struct NodeReport {
    std::string node;
    protocol::Outcome outcome = protocol::Outcome::ok;
    std::string headline; // instead of the outcome's word, of a node that was asked and not deployed
    std::string code;     // short stable word of a refusal or failure, as the agent gave it
    std::string message;  // what is wrong and what to do; may have several lines; as it came
    LogTail log;
    std::vector<std::string> answer; // what the command was asked for, a line each; as it came
    std::optional<std::uint64_t> generation;
    std::uint64_t bytes_sent = 0;
    std::chrono::steady_clock::duration elapsed{};

    // Wall time of the phases, for --timings.
    std::chrono::steady_clock::duration connect_time{};
    std::chrono::steady_clock::duration fetch_time{};
    std::chrono::steady_clock::duration activate_time{};
};

} // namespace waggle::trigger

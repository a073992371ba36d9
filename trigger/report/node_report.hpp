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
    static constexpr size_t max_line_bytes = 4096; // longer lines are not shown in full anyway

    void add(std::string_view line) {
        lines_.emplace_back(line.substr(0, max_line_bytes));
        if (lines_.size() > kept_lines_)
            lines_.pop_front();
    }
    void keep_lines(size_t count) { kept_lines_ = count; }
    const std::deque<std::string>& lines() const { return lines_; }

    // The following lines belong to the rollback and must not displace those that show the reason.
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
    std::string headline; // replaces the outcome's word for a node that was queried and not deployed
    std::string code;     // short stable code of a refusal or failure, from the agent
    std::string message;  // the problem and its remedy, perhaps several lines; unescaped
    LogTail log;
    std::vector<std::string> answer; // the command's result, one line each; unescaped
    std::optional<std::uint64_t> generation;
    std::uint64_t bytes_sent = 0;     // of store paths, as they travelled
    std::uint64_t nar_bytes_sent = 0; // their size uncompressed
    std::chrono::steady_clock::duration elapsed{};

    // Wall time of the phases, for --timings.
    std::chrono::steady_clock::duration connect_time{};
    std::chrono::steady_clock::duration fetch_time{};
    std::chrono::steady_clock::duration activate_time{};
};

} // namespace waggle::trigger

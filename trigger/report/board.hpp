#pragma once

#include "trigger/report/format.hpp"
#include "trigger/report/reporter.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace waggle::trigger {

// The state of all nodes of a run, and its display on a terminal: a line per node and a line of totals.
class Board {
public:
    using Instant = std::chrono::steady_clock::time_point;

    explicit Board(Instant started) : started_(started) {}

    void step(const std::string& name, Step step, Instant now);
    void line(const std::string& name, std::string safe_text);
    void transfer(const std::string& name, std::uint64_t bytes_done, std::uint64_t bytes_total);
    void activity(std::string safe_text) { activity_ = std::move(safe_text); }
    void ended(const std::string& name, protocol::Outcome outcome, std::string safe_message, Instant now);

    // Returns at most `rows` lines of at most `width` columns each. If there are more nodes than rows, active nodes
    // come first.
    std::vector<std::string> render(size_t rows, size_t width, bool color, Instant now) const;

private:
    struct Node {
        Step step = Step::waiting;
        Instant started; // when it stopped waiting
        Instant step_began;
        Instant ended;
        std::optional<protocol::Outcome> outcome;
        std::string text;
        std::uint64_t bytes_done = 0;
        std::uint64_t bytes_total = 0;
    };

    std::string node_line(const std::string& name, const Node& node, size_t width, bool color, Instant now) const;
    std::string totals_line(Instant now) const;
    static std::string detail(const Node& node, Instant now);

    Instant started_;
    std::string activity_;
    std::map<std::string, Node> nodes_;
};

} // namespace waggle::trigger

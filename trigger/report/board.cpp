#include "trigger/report/board.hpp"

#include "trigger/report/escape.hpp"
#include "trigger/report/style.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace waggle::trigger {

namespace {

constexpr size_t longest_state = 24; // "failed-before-activation"
// How long a fetch must have taken before its rate tells something, and must still take before its end does.
constexpr double telling_seconds = 0.5;
constexpr double long_fetch_seconds = 10;

} // namespace

void Board::step(const std::string& name, Step step, Instant now) {
    const auto [found, is_new] = nodes_.try_emplace(name);
    Node& node = found->second;
    if (is_new || node.step == Step::waiting)
        node.started = now;
    if (is_new || node.step != step) {
        node.step_began = now;
        node.text.clear();
    }
    node.step = step;
}

void Board::line(const std::string& name, std::string safe_text) {
    nodes_[name].text = std::move(safe_text);
}

void Board::transfer(const std::string& name, std::uint64_t bytes_done, std::uint64_t bytes_total) {
    Node& node = nodes_[name];
    node.bytes_done = bytes_done;
    node.bytes_total = bytes_total;
}

void Board::ended(const std::string& name, protocol::Outcome outcome, std::string safe_message, Instant now) {
    Node& node = nodes_[name];
    node.outcome = outcome;
    node.ended = now;
    node.text = std::move(safe_message);
}

std::string Board::detail(const Node& node, Instant now) {
    if (node.outcome || node.step != Step::fetching || node.bytes_total == 0)
        return node.text;
    const double seconds = std::chrono::duration<double>(now - node.step_began).count();
    const double done = static_cast<double>(node.bytes_done);
    const double total = static_cast<double>(node.bytes_total);
    std::string text = fmt::format("{} of {}, {:.0f} %", format_bytes(node.bytes_done), format_bytes(node.bytes_total),
                                   100 * done / total);
    if (seconds < telling_seconds)
        return text;
    text += fmt::format(", {}/s", format_bytes(static_cast<std::uint64_t>(done / seconds)));
    if (done > 0) {
        const std::chrono::duration<double> left(seconds * (total - done) / done);
        if (left.count() >= long_fetch_seconds && left < std::chrono::days(100))
            text += fmt::format(", {} left", format_elapsed(std::chrono::duration_cast<Elapsed>(left)));
    }
    return text;
}

std::string Board::node_line(const std::string& name, const Node& node, size_t width, bool color, Instant now) const {
    size_t name_width = 0;
    for (const auto& entry : nodes_)
        name_width = std::max(name_width, columns(entry.first));
    name_width = std::min(name_width, width / 3);
    const std::string_view state = node.outcome ? protocol::to_string(*node.outcome) : to_string(node.step);
    size_t state_width = 0;
    for (const auto& [other_name, other] : nodes_)
        state_width =
            std::max(state_width, (other.outcome ? protocol::to_string(*other.outcome) : to_string(other.step)).size());
    state_width = std::clamp<size_t>(state_width, 12, longest_state);
    const std::string elapsed = node.step == Step::waiting && !node.outcome
                                    ? ""
                                    : format_elapsed((node.outcome ? node.ended : now) - node.started);

    const std::string head = padded(cut_to_columns(name, name_width), name_width);
    const std::string rest = fmt::format("{}  {:>7}  {}", padded(state, state_width), elapsed, detail(node, now));
    const std::string plain_rest = cut_to_columns(rest, width > name_width + 2 ? width - name_width - 2 : 0);
    // The color is added after the cut, so that codes are never cut.
    const size_t styled_bytes = std::min(state.size(), plain_rest.size());
    const Style style = node.outcome ? style_of(*node.outcome) : node.step == Step::waiting ? Style::dim : Style::plain;
    return fmt::format("{}  {}{}", styled(head, Style::strong, color),
                       styled(std::string_view(plain_rest).substr(0, styled_bytes), style, color),
                       std::string_view(plain_rest).substr(styled_bytes));
}

std::string Board::totals_line(Instant now) const {
    size_t done = 0, failed = 0, waiting = 0;
    std::uint64_t bytes = 0;
    for (const auto& [name, node] : nodes_) {
        bytes += node.bytes_done;
        if (!node.outcome)
            waiting += node.step == Step::waiting || node.step == Step::built;
        else if (protocol::exit_code(*node.outcome) == 0)
            ++done;
        else
            ++failed;
    }
    std::string text = fmt::format("{} {}: {} done, {} failed, {} working, {} waiting; {}", nodes_.size(),
                                   nodes_.size() == 1 ? "node" : "nodes", done, failed,
                                   nodes_.size() - done - failed - waiting, waiting, format_elapsed(now - started_));
    if (bytes > 0)
        text += fmt::format("; {} fetched", format_bytes(bytes));
    if (!activity_.empty())
        text += "; " + activity_;
    return text;
}

std::vector<std::string> Board::render(size_t rows, size_t width, bool color, Instant now) const {
    if (nodes_.empty() || rows == 0)
        return {};
    using Entry = std::pair<const std::string, Node>;
    std::vector<const Entry*> shown;
    for (const Entry& entry : nodes_)
        shown.push_back(&entry);
    if (shown.size() + 1 > rows) {
        const auto rank = [](const Entry* entry) {
            const Node& node = entry->second;
            return node.outcome ? 1 : node.step == Step::waiting || node.step == Step::built ? 2 : 0;
        };
        std::stable_sort(shown.begin(), shown.end(), [&](auto* a, auto* b) { return rank(a) < rank(b); });
        shown.resize(rows - 1);
    }
    std::vector<std::string> lines;
    for (const Entry* entry : shown)
        lines.push_back(node_line(entry->first, entry->second, width, color, now));
    lines.push_back(styled(cut_to_columns(totals_line(now), width), Style::dim, color));
    return lines;
}

} // namespace waggle::trigger

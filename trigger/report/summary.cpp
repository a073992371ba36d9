#include "trigger/report/summary.hpp"

#include "trigger/report/escape.hpp"
#include "trigger/report/format.hpp"
#include "trigger/report/style.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace waggle::trigger {

using protocol::Outcome;

namespace {

// A node may send a message that consists of line feeds only.
constexpr size_t max_message_lines = 200;

// A hive error comes from Nix on this machine, and may be long with --show-trace.
size_t max_lines(const NodeReport& report) {
    return report.outcome == Outcome::hive_error || report.outcome == Outcome::build_failed ? std::string::npos
                                                                                            : max_message_lines;
}

std::string printable_lines(std::string_view text, size_t max_lines) {
    std::string safe;
    size_t lines = 0;
    for (size_t begin = 0; begin <= text.size();) {
        if (++lines > max_lines)
            return safe + "…";
        const size_t end = std::min(text.find('\n', begin), text.size());
        safe += printable(text.substr(begin, end - begin)) + "\n";
        begin = end + 1;
    }
    while (!safe.empty() && safe.back() == '\n')
        safe.pop_back();
    return safe;
}

// Whether both nodes fail by the same error of the hive, such as one in a file that all of them import, or because they
// have no agent.
bool is_same_failure(const NodeReport& a, const NodeReport& b) {
    const auto is_the_hives = [](const NodeReport& report) {
        return report.outcome == Outcome::hive_error || report.code == "no-agent";
    };
    return is_the_hives(a) && is_the_hives(b) && a.outcome == b.outcome && a.message == b.message &&
           a.headline == b.headline && a.log.lines().empty() && b.log.lines().empty();
}

std::string names_of(std::span<const NodeReport* const> reports) {
    constexpr size_t max_names = 8;
    std::string names;
    for (size_t i = 0; i < reports.size(); ++i) {
        if (i == max_names && reports.size() > max_names + 1)
            return names + fmt::format(" and {} more nodes", reports.size() - i);
        names += (i == 0 ? "" : ", ") + reports[i]->node;
    }
    return names;
}

} // namespace

std::string format_table(const std::vector<Column>& header, const std::vector<std::vector<std::string>>& rows) {
    std::vector<size_t> widths;
    for (size_t i = 0; i < header.size(); ++i) {
        size_t width = columns(header[i].title);
        for (const auto& row : rows)
            width = std::max(width, columns(row[i]));
        widths.push_back(width);
    }
    std::string table;
    const auto add_row = [&](const auto& cell) {
        std::string line;
        for (size_t i = 0; i < header.size(); ++i) {
            const std::string& text = cell(i);
            const std::string blanks(widths[i] - std::min(widths[i], columns(text)), ' ');
            line += (i == 0 ? "" : "  ") + (header[i].right ? blanks + text : text + blanks);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        table += line + "\n";
    };
    add_row([&](size_t i) -> const std::string& { return header[i].title; });
    for (const auto& row : rows)
        add_row([&](size_t i) -> const std::string& { return row[i]; });
    return table;
}

namespace {

void add_log(std::string& text, const NodeReport& report, std::string_view title,
             const std::deque<std::string>& lines) {
    if (lines.empty())
        return;
    text += fmt::format("    {}:\n", title);
    for (const std::string& line : lines)
        text += fmt::format("      {} | {}\n", report.node, printable(line));
}

} // namespace

std::string format_failures(std::span<const NodeReport> reports, bool color) {
    std::string text;
    std::set<const NodeReport*> told;
    for (const NodeReport& report : reports) {
        if (told.contains(&report) || (report.message.empty() && protocol::exit_code(report.outcome) == 0))
            continue;
        std::vector<const NodeReport*> same;
        for (const NodeReport& other : reports)
            if (&other == &report || is_same_failure(report, other))
                same.push_back(&other);
        told.insert(same.begin(), same.end());
        const std::string_view word =
            report.headline.empty() ? protocol::to_string(report.outcome) : std::string_view(report.headline);
        const std::string head = fmt::format("{}: {}", names_of(same), word);
        text += fmt::format("\n{}\n{}\n", styled(head, style_of(report.outcome), color),
                            indented(printable_lines(report.message.empty() ? "no reason was given" : report.message,
                                                     max_lines(report)),
                                     "    "));
        if (protocol::exit_code(report.outcome) == 0)
            continue;
        const bool rolled_back = !report.log.before_rollback().empty();
        add_log(text, report, "last lines of its log", rolled_back ? report.log.before_rollback() : report.log.lines());
        if (rolled_back)
            add_log(text, report, "and of the rollback", report.log.lines());
    }
    return text;
}

std::string format_answers(std::span<const NodeReport> reports) {
    std::string text;
    for (size_t i = 0; i < reports.size(); ++i) {
        const auto is_same = [&](const NodeReport& other) { return other.answer == reports[i].answer; };
        if (reports[i].answer.empty() || std::ranges::any_of(reports.first(i), is_same))
            continue;
        std::vector<const NodeReport*> same;
        for (const NodeReport& other : reports.subspan(i))
            if (is_same(other))
                same.push_back(&other);
        text += fmt::format("\n{}:\n", names_of(same));
        for (const std::string& line : reports[i].answer)
            text += fmt::format("    {}\n", printable(line));
    }
    return text;
}

namespace {

// What compression saved of the transfer to a node: "67%".
std::string format_saved(const NodeReport& report) {
    if (report.nar_bytes_sent == 0)
        return "-";
    const double saved = 1 - static_cast<double>(report.bytes_sent) / static_cast<double>(report.nar_bytes_sent);
    return fmt::format("{:.0f}%", std::max(0.0, saved) * 100);
}

} // namespace

std::string format_summary(std::span<const NodeReport> reports, bool color) {
    std::vector<Column> columns = {{"NODE"}, {"OUTCOME"}, {"GENERATION", true}, {"TIME", true}, {"SENT", true}};
    const bool compressed = std::ranges::any_of(
        reports, [](const NodeReport& report) { return report.bytes_sent < report.nar_bytes_sent; });
    if (compressed)
        columns.push_back({"SAVED", true});
    std::vector<std::vector<std::string>> rows;
    for (const NodeReport& report : reports) {
        rows.push_back({report.node, std::string(protocol::to_string(report.outcome)),
                        report.generation ? std::to_string(*report.generation) : "-", format_elapsed(report.elapsed),
                        format_bytes(report.bytes_sent)});
        if (compressed)
            rows.back().push_back(format_saved(report));
    }
    const std::string table = format_table(columns, rows);

    // Whole lines are colored after the columns have been measured.
    std::string text;
    size_t row = 0;
    for (size_t begin = 0; begin < table.size(); ++row) {
        const size_t end = table.find('\n', begin);
        const Style style = row == 0 ? Style::strong : style_of(reports[row - 1].outcome);
        text += styled(std::string_view(table).substr(begin, end - begin), style, color) + "\n";
        begin = end + 1;
    }
    return text + format_answers(reports) + format_failures(reports, color);
}

void sort_by_node(std::vector<NodeReport>& reports) {
    std::sort(reports.begin(), reports.end(), [](const auto& a, const auto& b) { return a.node < b.node; });
}

Outcome worst_outcome(std::span<const NodeReport> reports) {
    Outcome worst = Outcome::unchanged;
    for (const NodeReport& report : reports)
        worst = protocol::worse(worst, report.outcome);
    return worst;
}

} // namespace waggle::trigger

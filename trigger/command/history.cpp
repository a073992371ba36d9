#include "trigger/command/history.hpp"

#include "trigger/command/result.hpp"
#include "trigger/report/escape.hpp"
#include "trigger/report/summary.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <ranges>

namespace waggle::trigger {

std::vector<std::string> history_row(const std::string& node, const protocol::HistoryEntry& entry) {
    const auto git = entry.git ? entry.git->rev.substr(0, 12) + (entry.git->dirty ? "+" : "") : "-";
    return {node,
            to_rfc3339(entry.ended),
            std::string(protocol::to_string(entry.goal)),
            std::string(protocol::to_string(entry.outcome)),
            entry.generation ? std::to_string(*entry.generation) : "-",
            git,
            printable(entry.operator_key),
            printable(entry.toplevel),
            printable(entry.message)};
}

std::vector<protocol::HistoryEntry> ask_for_history(const NodeQuery& asked, size_t limit) {
    Session session = open_session(asked.connect, asked.address, asked.identity, asked.interrupt);
    auto answer = request<protocol::History>(session, protocol::GetHistory{limit});
    session.close();
    return std::move(answer.entries);
}

int history(const GlobalOptions& global, const HistoryOptions& options, const Interrupt& interrupt) {
    std::mutex mutex;
    std::map<std::string, std::vector<protocol::HistoryEntry>> entries;
    const auto ask = [&](const NodeQuery& asked) {
        auto answer = ask_for_history(asked, options.limit);
        const std::lock_guard lock(mutex);
        entries[asked.address.name] = std::move(answer);
        NodeReport report;
        report.outcome = protocol::Outcome::ok;
        return report;
    };
    const auto reports = ask_nodes(global, options.select, options.connect, interrupt, true, ask);
    if (global.json) {
        NodeDetails details;
        for (const auto& [node, list] : entries) {
            protocol::Json& history = details[node]["history"] = protocol::Json::array();
            for (const auto& entry : list)
                history.push_back(protocol::to_json(entry));
        }
        return print_json_result("history", reports, details);
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& [node, list] : entries)
        for (const auto& entry : list | std::views::reverse) // the newest last, above the prompt
            rows.push_back(history_row(node, entry));
    fmt::print(
        "{}",
        format_table(
            {{"NODE"}, {"ENDED"}, {"GOAL"}, {"OUTCOME"}, {"GENERATION"}, {"GIT"}, {"OPERATOR"}, {"SYSTEM"}, {"WHY"}},
            rows));
    return conclude(global, reports);
}

Subcommand history_subcommand(CLI::App& waggle) {
    const auto options = std::make_shared<HistoryOptions>();
    CLI::App& app = add_subcommand(waggle, "history", group::ask, "Show what was deployed to the nodes");
    add_select_options(app, options->select);
    options->connect.parallel = asked_at_once;
    add_connect_options(app, options->connect);
    app.add_option("--limit", options->limit, "Deployments to show per node (default: 20)")
        ->type_name("N")
        ->check(CLI::Range(size_t{1}, protocol::max_history_entries));
    return make_subcommand(app, options, history);
}

} // namespace waggle::trigger

#include "trigger/command/status.hpp"

#include "trigger/command/ask.hpp"
#include "trigger/command/result.hpp"
#include "trigger/report/escape.hpp"
#include "trigger/report/summary.hpp"
#include "trigger/report/terminal.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>

namespace waggle::trigger {

using protocol::Facts;

namespace {

// How long an operator has left to confirm the running deployment; nullopt if none awaits it. `confirm_timeout` is the
// hive's value. The deployment was signed with it, unless the hive has changed since.
std::optional<std::chrono::seconds> seconds_to_confirm(const Facts& facts, std::chrono::seconds confirm_timeout) {
    if (!facts.running || facts.running->state != protocol::DeploymentState::activated)
        return std::nullopt;
    const auto left = std::chrono::ceil<std::chrono::seconds>(facts.running->since + confirm_timeout - facts.time);
    return std::clamp(left, std::chrono::seconds(0), confirm_timeout);
}

std::string running_text(const Facts& facts, std::chrono::seconds confirm_timeout) {
    if (!facts.running)
        return "-";
    if (const auto left = seconds_to_confirm(facts, confirm_timeout))
        return fmt::format("{} unconfirmed, rolls back in {} s", facts.running->id.brief(), left->count());
    return fmt::format("{} {} since {}", facts.running->id.brief(), protocol::to_string(facts.running->state),
                       to_rfc3339(facts.running->since));
}

// Returns "31pzpmwcfdnv… 24.05" for "/nix/store/31pzpmwcfdnv…-nixos-system-alpha-24.05" on a terminal, so that the row
// fits, and the whole path otherwise.
std::string system_text(const std::string& node, const std::optional<std::string>& path, bool brief) {
    constexpr size_t brief_hash = 12;
    if (!path)
        return "-";
    if (!brief)
        return printable(*path);
    try {
        const nix::StorePath system = nix::StorePath::parse_absolute(*path);
        const std::string prefix = fmt::format("nixos-system-{}-", node);
        const std::string_view name = system.name();
        return fmt::format("{}… {}", system.hash_part().substr(0, brief_hash),
                           name.starts_with(prefix) ? name.substr(prefix.size()) : name);
    } catch (const nix::BadStorePath&) {
        return printable(*path);
    }
}

std::string booted_text(const std::string& node, const Facts& facts, bool brief) {
    if (facts.booted_system && facts.booted_system == facts.current_system)
        return "the same";
    return system_text(node, facts.booted_system, brief);
}

protocol::Json to_json(const Facts& facts, std::chrono::seconds confirm_timeout) {
    protocol::Json json = {
        {"agentVersion", facts.agent_version},
        {"currentSystem", facts.current_system ? protocol::Json(*facts.current_system) : protocol::Json()},
        {"bootedSystem", facts.booted_system ? protocol::Json(*facts.booted_system) : protocol::Json()},
        {"failedUnits", facts.failed_units},
        {"running", nullptr},
    };
    if (facts.running)
        json["running"] = {{"id", facts.running->id.to_string()},
                           {"state", protocol::to_string(facts.running->state)},
                           {"since", to_rfc3339(facts.running->since)},
                           {"rollsBackInSeconds", nullptr}};
    if (const auto left = seconds_to_confirm(facts, confirm_timeout))
        json["running"]["rollsBackInSeconds"] = left->count();
    return json;
}

struct Known {
    Facts facts;
    std::chrono::seconds confirm_timeout{};
};

std::vector<std::string> row(const NodeReport& report, const std::map<std::string, Known>& known, bool brief) {
    const auto found = known.find(report.node);
    if (found == known.end())
        return {report.node, std::string(protocol::to_string(report.outcome)), "-", "-", "-", "-"};
    const Facts& facts = found->second.facts;
    return {report.node,
            "reachable",
            printable(facts.agent_version),
            system_text(report.node, facts.current_system, brief),
            booted_text(report.node, facts, brief),
            printable(running_text(facts, found->second.confirm_timeout))};
}

} // namespace

int status(const GlobalOptions& global, const StatusOptions& options, const Interrupt& interrupt) {
    std::mutex mutex;
    std::map<std::string, Known> known;
    const auto ask = [&](const NodeQuery& asked) {
        Session session = open_session(asked.connect, asked.address, asked.identity, asked.interrupt);
        session.close();
        NodeReport report;
        if (const auto& failed = session.facts.failed_units; !failed.empty())
            report.answer = {fmt::format("failed units: {}{}", fmt::join(failed, ", "),
                                         failed.size() < protocol::max_failed_units ? "" : " …")};
        const std::lock_guard lock(mutex);
        known[asked.address.name] = {std::move(session.facts), asked.address.deployment.rollback.confirm_timeout};
        return report;
    };
    const auto reports = ask_nodes(global, options.select, options.connect, interrupt, true, ask);

    if (global.json) {
        NodeDetails details;
        for (const auto& [node, facts] : known)
            details[node] = to_json(facts.facts, facts.confirm_timeout);
        return print_json_result("status", reports, details);
    }
    const bool brief = ::isatty(STDOUT_FILENO) == 1 && !global.verbose;
    std::vector<std::vector<std::string>> rows;
    for (const NodeReport& report : reports)
        rows.push_back(row(report, known, brief));
    fmt::print("{}{}{}", stderr_is_terminal() ? "\n" : "",
               format_table({{"NODE"}, {"STATE"}, {"AGENT"}, {"CURRENT SYSTEM"}, {"BOOTED SYSTEM"}, {"RUNNING"}}, rows),
               format_answers(reports));
    return conclude(global, reports);
}

Subcommand status_subcommand(CLI::App& waggle) {
    const auto options = std::make_shared<StatusOptions>();
    CLI::App& app = add_subcommand(waggle, "status", group::ask, "Show what the nodes run");
    add_select_options(app, options->select);
    options->connect.parallel = asked_at_once;
    add_connect_options(app, options->connect);
    return make_subcommand(app, options, status);
}

} // namespace waggle::trigger

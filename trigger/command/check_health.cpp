#include "trigger/command/check_health.hpp"

#include "trigger/command/result.hpp"
#include "trigger/report/escape.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <map>
#include <mutex>
#include <sstream>

namespace waggle::trigger {

namespace {

constexpr auto checks_time = std::chrono::minutes(17); // a minute more than the agent gives the checks
constexpr auto order_time = std::chrono::seconds(10);

} // namespace

protocol::HealthReport ask_for_health(const NodeQuery& asked) {
    Session session = open_session(asked.connect, asked.address, asked.identity, asked.interrupt);
    asked.reporter.step(asked.address.name, Step::activating);
    session.link.connection->send(protocol::encode(protocol::CheckHealth{}), deadline_in(order_time));
    auto report = receive_answer<protocol::HealthReport>(session, deadline_in(checks_time));
    session.close();
    return report;
}

NodeReport report_of(const protocol::HealthReport& health) {
    NodeReport report;
    report.outcome = health.healthy ? protocol::Outcome::ok : protocol::Outcome::ok_units_failed;
    report.headline = health.healthy ? "" : "unhealthy";
    report.message = health.healthy ? "" : "its health checks fail";
    return report;
}

int check_health(const GlobalOptions& global, const CheckHealthOptions& options, const Interrupt& interrupt) {
    std::mutex mutex;
    std::map<std::string, protocol::HealthReport> health;
    const auto ask = [&](const NodeQuery& asked) {
        const auto answer = ask_for_health(asked);
        const std::lock_guard lock(mutex);
        health[asked.address.name] = answer;
        return report_of(answer);
    };
    const auto reports = ask_nodes(global, options.select, options.connect, interrupt, true, ask);
    if (global.json) {
        NodeDetails details;
        for (const auto& [node, report] : health)
            details[node] = {{"healthy", report.healthy}, {"text", report.text}};
        return print_json_result("check-health", reports, details);
    }
    for (const auto& [node, report] : health) {
        fmt::print("{}: {}\n", node, report.healthy ? "healthy" : "unhealthy");
        std::istringstream lines(report.text);
        for (std::string line; std::getline(lines, line);)
            fmt::print("  {}\n", printable(line));
    }
    return conclude(global, reports);
}

Subcommand check_health_subcommand(CLI::App& waggle) {
    const auto options = std::make_shared<CheckHealthOptions>();
    CLI::App& app = add_subcommand(waggle, "check-health", group::ask, "Run the health checks on the nodes");
    add_select_options(app, options->select);
    options->connect.parallel = asked_at_once;
    add_connect_options(app, options->connect);
    return make_subcommand(app, options, check_health);
}

} // namespace waggle::trigger

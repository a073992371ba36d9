#include "trigger/command/reboot.hpp"

#include "trigger/command/result.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace waggle::trigger {

namespace {

constexpr auto pause_between = std::chrono::milliseconds(500);

} // namespace

NodeReport reboot_node(const NodeQuery& asked, std::chrono::seconds timeout) {
    const auto open = [&] { return open_session(asked.connect, asked.address, asked.identity, asked.interrupt); };
    const auto give_up = deadline_in(timeout);
    std::string before;
    {
        Session session = open();
        before = request<protocol::Rebooting>(session, protocol::RebootNode{}).boot_id;
    }
    asked.reporter.step(asked.address.name, Step::reconnecting);
    NodeReport report;
    std::string problem = "it has not rebooted yet";
    while (std::chrono::steady_clock::now() < give_up) {
        asked.interrupt.wait(pause_between);
        try {
            Session session = open();
            session.close();
            if (!session.facts.boot_id.empty() && session.facts.boot_id != before) {
                report.outcome = protocol::Outcome::ok;
                return report;
            }
        } catch (const net::WrongHostKey&) {
            throw;
        } catch (const Interrupted&) {
            throw;
        } catch (const Error& error) {
            problem = error.what();
        }
    }
    report.outcome = protocol::Outcome::unreachable;
    report.message = fmt::format("it was asked to reboot and is not back after {} s: {}", timeout.count(), problem);
    return report;
}

int reboot(const GlobalOptions& global, const RebootOptions& options, const Interrupt& interrupt) {
    const auto ask = [&](const NodeQuery& asked) { return reboot_node(asked, std::chrono::seconds(options.timeout)); };
    const auto reports = ask_nodes(global, options.select, options.connect, interrupt, false, ask);
    if (global.json)
        return print_json_result("reboot", reports);
    for (const NodeReport& report : reports)
        if (report.outcome == protocol::Outcome::ok)
            fmt::print("{} has rebooted\n", report.node);
    return conclude(global, reports);
}

Subcommand reboot_subcommand(CLI::App& waggle) {
    const auto options = std::make_shared<RebootOptions>();
    CLI::App& app = add_subcommand(waggle, "reboot", group::deploy, "Reboot nodes and wait until they are back");
    add_select_options(app, options->select);
    add_connect_options(app, options->connect);
    app.add_option("--timeout", options->timeout, "Seconds to wait for a node (default: 600)")
        ->type_name("SECONDS")
        ->check(CLI::Range(1, 86'400));
    return make_subcommand(app, options, reboot);
}

} // namespace waggle::trigger

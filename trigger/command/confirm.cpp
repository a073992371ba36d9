#include "trigger/command/confirm.hpp"

#include "trigger/command/ask.hpp"
#include "trigger/command/result.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace waggle::trigger {

namespace {

constexpr auto commit_time = std::chrono::minutes(10); // installing a boot loader on a slow disk takes a while
constexpr auto check_interval = std::chrono::milliseconds(500);

NodeReport confirm_node(const NodeQuery& asked) {
    Session session = open_session(asked.connect, asked.address, asked.identity, asked.interrupt);
    NodeReport report;
    const auto& facts = session.facts;
    if (!facts.awaits_confirmation) {
        report.outcome = facts.running ? protocol::Outcome::refused : protocol::Outcome::unchanged;
        report.code = "not-awaited";
        report.message = facts.running ? fmt::format("it awaits no confirmation yet: deployment {} is {}",
                                                     facts.running->id.brief(), to_string(facts.running->state))
                                       : "it awaits no confirmation";
        return report;
    }
    net::Connection& connection = *session.link.connection;
    const auto id = *facts.awaits_confirmation;
    connection.send(protocol::encode(protocol::Confirm{id}), deadline_in(answer_time));
    connection.send(protocol::encode(protocol::Attach{.id = id, .after = 0}), deadline_in(answer_time));
    const Deadline give_up = deadline_in(commit_time);
    while (std::chrono::steady_clock::now() < give_up) {
        asked.interrupt.check();
        std::optional<std::string> bytes;
        try {
            bytes = connection.receive(deadline_in(check_interval));
        } catch (const TimedOut&) {
            continue;
        }
        if (!bytes)
            throw net::ConnectionLost("the agent closed the connection before it had kept the system");
        const protocol::Incoming incoming = protocol::decode(*bytes);
        const auto* message = std::get_if<protocol::Message>(&incoming);
        if (message == nullptr)
            throw protocol::BadDocument("the agent sent data where it may only send messages");
        if (const auto* refused = std::get_if<protocol::Refused>(message))
            throw RefusedByNode(*refused);
        if (const auto* result = std::get_if<protocol::Result>(message)) {
            report.outcome = result->outcome;
            report.code = result->code;
            report.message = result->message;
            report.generation = result->generation;
            session.close();
            return report;
        }
    }
    throw Error("it was confirmed, but has not finished in time: `waggle status` shows what runs there");
}

} // namespace

int confirm(const GlobalOptions& global, const ConfirmOptions& options, const Interrupt& interrupt) {
    const auto reports = ask_nodes(global, options.select, options.connect, interrupt, false, confirm_node);
    if (global.json)
        return print_json_result("confirm", reports);
    for (const NodeReport& report : reports)
        if (report.outcome == protocol::Outcome::ok)
            fmt::print("{} keeps its new system\n", report.node);
    return conclude(global, reports);
}

Subcommand confirm_subcommand(CLI::App& waggle) {
    const auto options = std::make_shared<ConfirmOptions>();
    CLI::App& app = add_subcommand(waggle, "confirm", group::deploy, "Keep new systems that await confirmation");
    add_select_options(app, options->select);
    options->connect.parallel = asked_at_once;
    add_connect_options(app, options->connect);
    return make_subcommand(app, options, confirm);
}

} // namespace waggle::trigger

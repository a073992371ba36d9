#include "trigger/command/keys.hpp"

#include "trigger/command/ask.hpp"
#include "trigger/command/result.hpp"
#include "trigger/report/escape.hpp"
#include "trigger/report/format.hpp"
#include "trigger/report/summary.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <map>
#include <mutex>

namespace waggle::trigger {

namespace {

using protocol::SecretsReport;
using protocol::SecretStatus;

std::string since(const std::optional<Time>& time, Time now) {
    if (!time)
        return "-";
    return *time > now ? "0.0 s" : format_elapsed(now - *time);
}

std::vector<std::string> row(const std::string& node, const SecretStatus& secret, Time now) {
    const auto or_dash = [](const std::string& text) { return text.empty() ? "-" : printable(text); };
    return {node,
            printable(secret.name),
            std::string(protocol::to_string(secret.state)),
            or_dash(secret.owner),
            or_dash(secret.mode),
            since(secret.written, now),
            since(secret.changed, now),
            printable(secret.path),
            printable(secret.note)};
}

// Reports what is wrong beyond the table: the agent's problem, or the number of secrets that are not in place.
NodeReport judge(const SecretsReport& answer) {
    NodeReport report;
    size_t wrong = 0;
    for (const SecretStatus& secret : answer.secrets)
        wrong += secret.state != SecretStatus::State::in_place ? 1 : 0;
    report.message = answer.problem;
    if (wrong > 0 && report.message.empty())
        report.message = fmt::format("{} of its {} secrets {} not in place", wrong, answer.secrets.size(),
                                     wrong == 1 ? "is" : "are");
    if (!report.message.empty())
        report.headline = "its secrets are not as they should be";
    report.outcome = report.message.empty() ? protocol::Outcome::ok : protocol::Outcome::ok_units_failed;
    return report;
}

} // namespace

int keys(const GlobalOptions& global, const KeysOptions& options, const Interrupt& interrupt) {
    std::mutex mutex;
    std::map<std::string, SecretsReport> answers;
    const auto ask = [&](const NodeQuery& asked) {
        Session session = open_session(asked.connect, asked.address, asked.identity, asked.interrupt);
        auto answer = request<SecretsReport>(session, protocol::GetSecrets{});
        session.close();
        NodeReport report = judge(answer);
        const std::lock_guard lock(mutex);
        answers[asked.address.name] = std::move(answer);
        return report;
    };
    const auto reports = ask_nodes(global, options.select, options.connect, interrupt, true, ask);
    if (global.json) {
        NodeDetails details;
        for (const auto& [node, answer] : answers) {
            protocol::Json& secrets = details[node]["secrets"] = protocol::Json::array();
            for (const SecretStatus& secret : answer.secrets)
                secrets.push_back(protocol::to_json(secret));
        }
        return print_json_result("keys", reports, details);
    }
    std::vector<std::vector<std::string>> rows;
    const Time time = now();
    for (const auto& [node, answer] : answers)
        for (const auto& secret : answer.secrets)
            rows.push_back(row(node, secret, time));
    fmt::print("{}", format_table({{"NODE"},
                                   {"SECRET"},
                                   {"STATE"},
                                   {"OWNER"},
                                   {"MODE"},
                                   {"WRITTEN", true},
                                   {"CHANGED", true},
                                   {"FILE"},
                                   {"NOTE"}},
                                  rows));
    return conclude(global, reports);
}

Subcommand keys_subcommand(CLI::App& waggle) {
    const auto options = std::make_shared<KeysOptions>();
    CLI::App& app =
        add_subcommand(waggle, "keys", group::ask, "Show the status of each node's secrets (never their contents)");
    add_select_options(app, options->select);
    options->connect.parallel = asked_at_once;
    add_connect_options(app, options->connect);
    return make_subcommand(app, options, keys);
}

} // namespace waggle::trigger

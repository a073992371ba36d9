#include "trigger/command/whoami.hpp"

#include "trigger/command/ask.hpp"
#include "trigger/command/result.hpp"
#include "trigger/report/escape.hpp"
#include "trigger/report/summary.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdio>

namespace waggle::trigger {

using protocol::Outcome;

namespace {

// A session opens for operators only, so an open session is the answer.
NodeReport ask_whether_admitted(const NodeQuery& asked) {
    const Session session = open_session(asked.connect, asked.address, asked.identity, asked.interrupt);
    session.close();
    return {};
}

std::string_view in_words(const NodeReport& report) {
    if (report.outcome == Outcome::ok)
        return "yes";
    return report.code == "unknown-operator" ? "no" : "unknown";
}

} // namespace

int whoami(const GlobalOptions& global, const WhoamiOptions& options, const Interrupt& interrupt) {
    const Identity identity = load_identity(options.connect.identity, IdentityPlaces::of_this_process());
    const ssh::PublicKey key = identity.signer->public_key();
    if (!global.json) {
        fmt::print("{} in {}\n{}\n", key.fingerprint(), printable(identity.origin), key.to_string());
        std::fflush(stdout);
    }

    const auto reports =
        query_nodes(identity, global, options.select, options.connect, interrupt, true, ask_whether_admitted);
    if (global.json) {
        NodeDetails details;
        for (const NodeReport& report : reports)
            details[report.node]["admitsYou"] = in_words(report);
        return print_json_result(
            "whoami", reports, details,
            {{"fingerprint", key.fingerprint()}, {"publicKey", key.to_string()}, {"keyOrigin", identity.origin}});
    }
    std::vector<std::vector<std::string>> rows;
    for (const NodeReport& report : reports)
        rows.push_back({report.node, std::string(in_words(report))});
    fmt::print("{}", format_table({{"NODE"}, {"ADMITS YOU"}}, rows));
    return conclude(global, reports);
}

Subcommand whoami_subcommand(CLI::App& waggle) {
    const auto options = std::make_shared<WhoamiOptions>();
    CLI::App& app = add_subcommand(waggle, "whoami", group::ask, "Show your operator key and which nodes accept it");
    add_select_options(app, options->select);
    options->connect.parallel = asked_at_once;
    add_connect_options(app, options->connect);
    return make_subcommand(app, options, whoami);
}

} // namespace waggle::trigger

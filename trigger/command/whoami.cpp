#include "trigger/command/whoami.hpp"

#include "trigger/command/ask.hpp"
#include "trigger/report/escape.hpp"
#include "trigger/report/summary.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace waggle::trigger {

using protocol::Outcome;

namespace {

// A session opens for operators only, so that it opens is the answer.
NodeReport ask_whether_admitted(const NodeQuery& asked) {
    const Session session = open_session(asked.connect, asked.address, asked.identity, asked.interrupt);
    session.link.connection->finish(deadline_in(std::chrono::seconds(1)));
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
    fmt::print("{} in {}\n{}\n", key.fingerprint(), printable(identity.origin), key.to_string());
    std::fflush(stdout);

    const auto reports =
        query_nodes(identity, global, options.select, options.connect, interrupt, true, ask_whether_admitted);
    std::vector<std::vector<std::string>> rows;
    for (const NodeReport& report : reports)
        rows.push_back({report.node, std::string(in_words(report))});
    fmt::print("{}", format_table({{"NODE"}, {"ADMITS YOU"}}, rows));
    return conclude(global, reports);
}

} // namespace waggle::trigger

#include "trigger/command/whoami.hpp"

#include "trigger/command/prepare.hpp"
#include "trigger/deploy/dialer.hpp"
#include "trigger/deploy/identity.hpp"
#include "trigger/deploy/rollout.hpp"
#include "trigger/report/escape.hpp"
#include "trigger/report/summary.hpp"
#include "trigger/report/terminal.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <map>

namespace waggle::trigger {

using protocol::Outcome;

namespace {

// A session opens for operators only, so that it opens is the answer.
NodeReport ask_whether_admitted(const NodeAddress& node, const Pins& pins, Dialer& dialer, const ssh::Signer& identity,
                                const Interrupt& interrupt) {
    NodeReport answer;
    answer.node = node.name;
    const auto problem = [&](Outcome outcome, std::string text) {
        answer.outcome = outcome;
        answer.message = std::move(text);
    };
    if (const auto refusal = pins.refusals.find(node.name); refusal != pins.refusals.end()) {
        problem(Outcome::unreachable, dialer.with_line_to_add(refusal->second, node, pins));
        return answer;
    }
    try {
        const Dialer::Talk talk(dialer);
        const Session session =
            open_session(dialer.connector(node, pins.nodes.at(node.name)), node, identity, interrupt);
        session.link.connection->finish(deadline_in(std::chrono::seconds(1)));
    } catch (const RefusedByNode& refused) {
        problem(Outcome::refused, refused.what());
    } catch (const Interrupted&) {
        problem(Outcome::interrupted, "not asked any more");
    } catch (const std::exception& error) {
        problem(Outcome::unreachable, error.what());
    }
    return answer;
}

std::string_view in_words(Outcome outcome) {
    switch (outcome) {
    case Outcome::ok: return "yes";
    case Outcome::refused: return "no";
    default: return "unknown";
    }
}

} // namespace

int whoami(const GlobalOptions& global, const WhoamiOptions& options, const Interrupt& interrupt) {
    const Identity identity = load_identity(options.connect.identity, IdentityPlaces::of_this_process());
    const ssh::PublicKey key = identity.signer->public_key();
    fmt::print("{} in {}\n{}\n", key.fingerprint(), printable(identity.origin), key.to_string());
    std::fflush(stdout);

    KnownHostsFiles known_hosts(options.connect.known_hosts);
    std::unique_ptr<Reporter> reporter = make_reporter(global.verbose, use_color(global.color, stderr_is_terminal()));
    if (identity.warning)
        reporter->note(*identity.warning);
    Preparation preparation(global, options.select, interrupt, *reporter);
    std::vector<NodeAddress> nodes = preparation.addresses(preparation.select(true));
    std::erase_if(nodes, [](const NodeAddress& node) {
        return !node.deployment.target_host || !node.deployment.agent_enable || node.node.empty();
    });
    std::map<std::string, DeploymentOptions> targets;
    for (NodeAddress& node : nodes) {
        node.deployment.agent_via_ssh = options.connect.via_ssh.value_or(node.deployment.agent_via_ssh);
        targets[node.name] = node.deployment;
    }
    const Pins pins = find_pins(targets, known_hosts);

    std::vector<NodeReport> answers(nodes.size());
    {
        Dialer dialer(interrupt);
        in_parallel(nodes.size(), options.connect.parallel, [&](size_t i) {
            reporter->step(nodes[i].name, Step::connecting);
            answers[i] = ask_whether_admitted(nodes[i], pins, dialer, *identity.signer, interrupt);
            reporter->ended(nodes[i].name, answers[i].outcome,
                            answers[i].message.substr(0, answers[i].message.find('\n')));
        });
    }
    reporter.reset();

    std::vector<std::vector<std::string>> rows;
    std::vector<NodeReport> problems = preparation.failed;
    for (const NodeReport& answer : answers) {
        rows.push_back({answer.node, std::string(in_words(answer.outcome))});
        if (answer.outcome != Outcome::ok)
            problems.push_back(answer);
    }
    fmt::print("{}", format_table({{"NODE"}, {"ADMITS YOU"}}, rows));
    fmt::print("{}", format_failures(problems, use_color(global.color, false)));
    std::fflush(stdout);
    return protocol::exit_code(worst_outcome(problems));
}

} // namespace waggle::trigger

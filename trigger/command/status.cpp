#include "trigger/command/status.hpp"

#include "trigger/command/prepare.hpp"
#include "trigger/deploy/dialer.hpp"
#include "trigger/deploy/identity.hpp"
#include "trigger/deploy/rollout.hpp"
#include "trigger/report/escape.hpp"
#include "trigger/report/summary.hpp"
#include "trigger/report/terminal.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <map>

namespace waggle::trigger {

using protocol::Facts;
using protocol::Outcome;

namespace {

struct Answer {
    std::string node;
    Outcome outcome = Outcome::ok;
    std::string problem;
    std::optional<Facts> facts;
};

Answer ask(const NodeAddress& node, const Pins& pins, Dialer& dialer, const ssh::Signer& identity,
           const Interrupt& interrupt) {
    Answer answer{.node = node.name, .outcome = Outcome::ok, .problem = {}, .facts = {}};
    const auto problem = [&](Outcome outcome, std::string text) {
        answer.outcome = outcome;
        answer.problem = std::move(text);
    };
    if (const auto refusal = pins.refusals.find(node.name); refusal != pins.refusals.end()) {
        problem(Outcome::refused, dialer.with_line_to_add(refusal->second, node, pins));
        return answer;
    }
    try {
        const Dialer::Talk talk(dialer);
        Session session = open_session(dialer.connector(node, pins.nodes.at(node.name)), node, identity, interrupt);
        session.link.connection->finish(deadline_in(std::chrono::seconds(1)));
        answer.facts = std::move(session.facts);
    } catch (const RefusedByNode& refused) {
        problem(Outcome::refused, refused.what());
    } catch (const net::WrongHostKey& error) {
        problem(Outcome::refused, error.what());
    } catch (const Interrupted&) {
        problem(Outcome::interrupted, "not asked any more");
    } catch (const std::exception& error) {
        problem(Outcome::unreachable, error.what());
    }
    return answer;
}

std::string running_text(const Facts& facts) {
    if (!facts.running)
        return "-";
    return fmt::format("{} {} since {}", facts.running->id.brief(), protocol::to_string(facts.running->state),
                       to_rfc3339(facts.running->since));
}

// On a terminal "31pzpmwcfdnv… 24.05" of "/nix/store/31pzpmwcfdnv…-nixos-system-alpha-24.05", so that the row fits;
// else the whole path.
std::string system_text(const Answer& answer, const std::optional<std::string>& path, bool brief) {
    constexpr size_t brief_hash = 12;
    if (!path)
        return "-";
    if (!brief)
        return printable(*path);
    try {
        const nix::StorePath system = nix::StorePath::parse_absolute(*path);
        const std::string prefix = fmt::format("nixos-system-{}-", answer.node);
        const std::string_view name = system.name();
        return fmt::format("{}… {}", system.hash_part().substr(0, brief_hash),
                           name.starts_with(prefix) ? name.substr(prefix.size()) : name);
    } catch (const nix::BadStorePath&) {
        return printable(*path);
    }
}

std::string booted_text(const Answer& answer, bool brief) {
    const Facts& facts = *answer.facts;
    if (facts.booted_system && facts.booted_system == facts.current_system)
        return "the same";
    return system_text(answer, facts.booted_system, brief);
}

std::vector<std::string> row(const Answer& answer, bool brief) {
    if (!answer.facts)
        return {answer.node, std::string(protocol::to_string(answer.outcome)), "-", "-", "-", "-"};
    const Facts& facts = *answer.facts;
    return {answer.node,
            "reachable",
            printable(facts.agent_version),
            system_text(answer, facts.current_system, brief),
            booted_text(answer, brief),
            printable(running_text(facts))};
}

} // namespace

int status(const GlobalOptions& global, const StatusOptions& options, const Interrupt& interrupt) {
    const Identity identity = load_identity(options.connect.identity, IdentityPlaces::of_this_process());
    KnownHostsFiles known_hosts(options.connect.known_hosts);
    const bool color = use_color(global.color, stderr_is_terminal());
    std::unique_ptr<Reporter> reporter = make_reporter(global.verbose, color);
    if (identity.warning)
        reporter->note(*identity.warning);
    Preparation preparation(global, options.select, interrupt, *reporter);
    std::vector<NodeAddress> nodes = preparation.addresses(preparation.select(true));
    std::erase_if(nodes, [&](const NodeAddress& node) {
        const bool skipped = !node.deployment.target_host || !node.deployment.agent_enable || node.node.empty();
        if (skipped)
            reporter->note(fmt::format("{} is skipped: it has no targetHost, or no agent", node.name));
        return skipped;
    });

    std::map<std::string, DeploymentOptions> targets;
    for (NodeAddress& node : nodes) {
        node.deployment.agent_via_ssh = options.connect.via_ssh.value_or(node.deployment.agent_via_ssh);
        targets[node.name] = node.deployment;
    }
    const Pins pins = find_pins(targets, known_hosts);
    std::vector<Answer> answers(nodes.size());
    {
        Dialer dialer(interrupt);
        in_parallel(nodes.size(), options.connect.parallel, [&](size_t i) {
            reporter->step(nodes[i].name, Step::connecting);
            answers[i] = ask(nodes[i], pins, dialer, *identity.signer, interrupt);
            reporter->ended(nodes[i].name, answers[i].outcome,
                            answers[i].problem.substr(0, answers[i].problem.find('\n')));
        });
    }
    reporter.reset();

    const bool to_terminal = ::isatty(STDOUT_FILENO) == 1;
    std::vector<std::vector<std::string>> rows;
    std::vector<NodeReport> problems = preparation.failed;
    for (const Answer& answer : answers) {
        rows.push_back(row(answer, to_terminal && !global.verbose));
        if (answer.facts)
            continue;
        NodeReport report;
        report.node = answer.node;
        report.outcome = answer.outcome;
        report.message = answer.problem;
        problems.push_back(std::move(report));
    }
    fmt::print(
        "{}{}", stderr_is_terminal() ? "\n" : "",
        format_table({{"NODE"}, {"STATE"}, {"AGENT"}, {"CURRENT SYSTEM"}, {"BOOTED SYSTEM"}, {"RUNNING"}}, rows));
    fmt::print("{}", format_failures(problems, use_color(global.color, to_terminal)));
    std::fflush(stdout);
    return protocol::exit_code(worst_outcome(problems));
}

} // namespace waggle::trigger

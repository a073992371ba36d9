#include "trigger/deploy/rollout.hpp"

#include "trigger/deploy/deploy_node.hpp"
#include "trigger/deploy/dialer.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

namespace waggle::trigger {

using protocol::Outcome;

namespace {

constexpr size_t ssh_processes = 8;

} // namespace

Pins find_pins(const std::map<std::string, DeploymentOptions>& nodes, KnownHostsFiles& known_hosts) {
    // One `ssh -G` a node, which takes some milliseconds.
    struct Question {
        std::string name;
        const DeploymentOptions* deployment = nullptr;
        SshDestination destination;
        std::string problem;
    };
    std::vector<Question> questions;
    for (const auto& [name, deployment] : nodes)
        questions.push_back({name, &deployment, {}, {}});
    in_parallel(questions.size(), ssh_processes, [&](size_t i) {
        Question& question = questions[i];
        try {
            question.destination =
                find_destination(question.deployment->target_host.value_or(""), question.deployment->target_port);
        } catch (const std::exception& error) {
            question.problem = error.what();
        }
    });

    Pins pins;
    std::map<std::string, std::vector<ssh::PublicKey>> keys;
    for (Question& question : questions) {
        if (!question.problem.empty()) {
            pins.refusals[question.name] = question.problem;
            continue;
        }
        try {
            keys[question.name] =
                choose_pins(*question.deployment, question.destination, known_hosts.of(question.destination));
            require_not_revoked(keys[question.name], question.destination);
            pins.nodes[question.name] = {question.destination, keys[question.name]};
        } catch (const UnknownHost& reason) {
            pins.refusals[question.name] = reason.what();
            pins.unknown[question.name] = question.destination;
        } catch (const Error& reason) {
            pins.refusals[question.name] = reason.what();
        }
    }
    pins.refusals.merge(find_shared_keys(keys));
    return pins;
}

void in_parallel(size_t count, size_t parallel, const std::function<void(size_t)>& work) {
    std::atomic<size_t> next = 0;
    const auto take_turns = [&] {
        for (size_t i = next++; i < count; i = next++)
            work(i);
    };
    std::vector<std::thread> threads;
    const size_t thread_count = parallel == 0 ? count : std::min(parallel, count);
    for (size_t i = 0; i < thread_count; ++i)
        threads.emplace_back(take_turns);
    for (std::thread& thread : threads)
        thread.join();
}

std::vector<NodeReport> roll_out(std::span<const EvaluatedNode> nodes, const RolloutPlan& plan, Store& store,
                                 const ssh::Signer& identity, const Interrupt& interrupt, Reporter& reporter) {
    Dialer dialer(interrupt);
    std::vector<NodeReport> reports(nodes.size());
    in_parallel(nodes.size(), plan.parallel, [&](size_t i) {
        const EvaluatedNode& node = nodes[i];
        NodeReport& report = reports[i];
        if (const auto refusal = plan.pins.refusals.find(node.name); refusal != plan.pins.refusals.end()) {
            report.node = node.name;
            report.outcome = Outcome::refused;
            report.code = "no-pin";
            report.message = dialer.with_line_to_add(refusal->second, node, plan.pins);
        } else {
            const Dialer::Talk talk(dialer);
            std::function<NodeSecrets()> secrets;
            if (plan.secrets)
                secrets = [&] { return plan.secrets(node); };
            report = deploy_node(node, plan.intent,
                                 {.connect = dialer.connector(node, plan.pins.nodes.at(node.name)),
                                  .toplevel = node.toplevel,
                                  .closure = [&] { return store.closure(node.toplevel); },
                                  .nar_reader = [] { return Store::nar_reader(); },
                                  .identity = identity,
                                  .interrupt = interrupt,
                                  .reporter = reporter,
                                  .patience = {},
                                  .secrets = secrets});
        }
        reporter.ended(node.name, report.outcome, report.message.substr(0, report.message.find('\n')));
    });
    return reports;
}

} // namespace waggle::trigger

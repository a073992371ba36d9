#include "trigger/deploy/rollout.hpp"

#include "trigger/deploy/deploy_node.hpp"
#include "trigger/deploy/dialer.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

namespace waggle::trigger {

using protocol::Outcome;

Pins find_pins(const std::map<std::string, DeploymentOptions>& nodes, std::span<const KnownHostsFile> known_hosts) {
    Pins pins;
    for (const auto& [name, deployment] : nodes) {
        try {
            pins.keys[name] = choose_pins(deployment, known_hosts);
        } catch (const NoPin& reason) {
            pins.refusals[name] = reason.what();
        }
    }
    pins.refusals.merge(find_shared_keys(pins.keys));
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
                                 const ssh::PrivateKey& identity, const Interrupt& interrupt, Reporter& reporter) {
    Dialer dialer(interrupt);
    std::vector<NodeReport> reports(nodes.size());
    in_parallel(nodes.size(), plan.parallel, [&](size_t i) {
        const EvaluatedNode& node = nodes[i];
        NodeReport& report = reports[i];
        if (const auto refusal = plan.pins.refusals.find(node.name); refusal != plan.pins.refusals.end()) {
            report.node = node.name;
            report.outcome = Outcome::refused;
            report.code = "no-pin";
            report.message = refusal->second;
        } else {
            const Dialer::Talk talk(dialer);
            report = deploy_node(node, plan.intent,
                                 {.connect = dialer.connector(node, plan.pins.keys.at(node.name)),
                                  .closure = [&] { return store.closure(node.toplevel); },
                                  .nar_reader = [] { return Store::nar_reader(); },
                                  .identity = identity,
                                  .interrupt = interrupt,
                                  .reporter = reporter,
                                  .patience = {}});
        }
        reporter.ended(node.name, report.outcome, report.message.substr(0, report.message.find('\n')));
    });
    return reports;
}

} // namespace waggle::trigger

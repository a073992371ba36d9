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
constexpr size_t most_connecting = 256; // each has a thread; a node that does not answer keeps it for some seconds

} // namespace

namespace {

// The keys by which a node is known at any of its addresses. Throws UnknownHost where it is at none.
std::vector<ssh::PublicKey> find_keys(const DeploymentOptions& deployment,
                                      const std::vector<SshDestination>& destinations, KnownHostsFiles& known_hosts) {
    std::vector<ssh::PublicKey> keys;
    std::optional<UnknownHost> unknown;
    for (const SshDestination& destination : destinations) {
        try {
            for (const auto& key : choose_pins(deployment, destination, known_hosts.of(destination)))
                if (std::ranges::find(keys, key) == keys.end())
                    keys.push_back(key);
        } catch (const UnknownHost& reason) {
            if (!unknown)
                unknown = reason;
        }
    }
    if (keys.empty() && unknown)
        throw *unknown;
    for (const SshDestination& destination : destinations)
        require_not_revoked(keys, destination);
    return keys;
}

} // namespace

Pins find_pins(const std::map<std::string, DeploymentOptions>& nodes, KnownHostsFiles& known_hosts) {
    // One `ssh -G` a node, which takes some milliseconds.
    struct Question {
        std::string name;
        const DeploymentOptions* deployment = nullptr;
        std::vector<SshDestination> destinations;
        std::string problem;
    };
    std::vector<Question> questions;
    for (const auto& [name, deployment] : nodes)
        questions.push_back({name, &deployment, {}, {}});
    in_parallel(questions.size(), ssh_processes, [&](size_t i) {
        Question& question = questions[i];
        try {
            const auto& deployment = *question.deployment;
            question.destinations = {find_destination(deployment.target_host.value_or(""), deployment.target_port)};
            for (const std::string& host : deployment.other_hosts)
                question.destinations.push_back(find_destination(host, deployment.target_port));
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
            auto& destinations = question.destinations;
            keys[question.name] = find_keys(*question.deployment, destinations, known_hosts);
            pins.nodes[question.name] = {
                destinations.front(), keys[question.name], {destinations.begin() + 1, destinations.end()}};
        } catch (const UnknownHost& reason) {
            pins.refusals[question.name] = reason.what();
            pins.unknown[question.name] = question.destinations.front();
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

Rollout::Rollout(RolloutPlan plan, KnownHostsFiles& known_hosts, Store& store, const ssh::Signer& identity,
                 const Interrupt& interrupt, Reporter& reporter)
    : plan_(std::move(plan)), known_hosts_(known_hosts), store_(store), identity_(identity), interrupt_(interrupt),
      reporter_(reporter), dialer_(std::make_unique<Dialer>(interrupt)), places_(plan_.parallel),
      work_(plan_.parallel == 0 ? 0 : std::max(plan_.parallel, most_connecting)) {}

Rollout::~Rollout() = default;

void Rollout::add(std::vector<EvaluatedNode> nodes, const ReadSecrets& secrets) {
    std::map<std::string, DeploymentOptions> targets;
    for (EvaluatedNode& node : nodes) {
        set_reach(plan_.reach, node);
        targets[node.name] = node.deployment;
    }
    const std::scoped_lock lock(adding_);
    const auto pins = std::make_shared<Pins>(find_pins(targets, known_hosts_));
    for (const auto& [name, node] : pins->nodes)
        keys_[name] = node.keys;
    for (const auto& [name, reason] : find_shared_keys(keys_)) {
        if (targets.contains(name))
            pins->refusals.try_emplace(name, reason);
    }
    for (EvaluatedNode& node : nodes)
        work_.add([this, node = std::move(node), pins, secrets] { deploy(node, *pins, secrets); });
}

void Rollout::deploy(const EvaluatedNode& node, const Pins& pins, const ReadSecrets& secrets) {
    NodeReport report;
    if (const auto reason = reason_to_refuse(node, plan_.intent)) { // without an agent there is nothing to connect to
        report.node = node.name;
        report.outcome = Outcome::refused;
        report.code = "no-agent";
        report.message = *reason;
    } else if (const auto refusal = pins.refusals.find(node.name); refusal != pins.refusals.end()) {
        report.node = node.name;
        report.outcome = Outcome::refused;
        report.code = "no-pin";
        report.message = dialer_->with_line_to_add(refusal->second, node, pins);
    } else {
        const Dialer::ActiveNode talk(*dialer_);
        std::function<NodeSecrets()> read;
        if (secrets)
            read = [&] { return secrets(node); };
        std::optional<RemoteBuild> remote_build;
        if (node.deployment.build_on_target)
            remote_build = RemoteBuild{.drv = node.drv,
                                       .derivations = [&] { return derivations_.closure(node.drv); },
                                       .nar_reader = [&] { return derivations_.nar_reader(); }};
        report = deploy_node(
            node, plan_.intent,
            {.connect = dialer_->connector(node, pins.nodes.at(node.name)),
             .toplevel = node.toplevel,
             .closure = [&] { return store_.closure(node.toplevel); },
             .nar_reader = [&] { return store_.nar_reader(); },
             .identity = identity_,
             .interrupt = interrupt_,
             .reporter = reporter_,
             .limits = {},
             .knows = [&](const nix::StorePath& path) { return !store_.valid(std::span(&path, 1)).empty(); },
             .secrets = read,
             .remote_build = remote_build,
             .places = &places_});
    }
    reporter_.ended(node.name, report.outcome, report.message.substr(0, report.message.find('\n')));
    const std::scoped_lock lock(reporting_);
    reports_.insert_or_assign(node.name, std::move(report));
}

std::vector<NodeReport> Rollout::finish() {
    work_.finish();
    std::vector<NodeReport> reports;
    for (auto& [name, report] : reports_)
        reports.push_back(std::move(report));
    reports_.clear();
    return reports;
}

} // namespace waggle::trigger

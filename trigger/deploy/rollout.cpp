#include "trigger/deploy/rollout.hpp"

#include "trigger/connect/dialer.hpp"
#include "trigger/deploy/conversation.hpp"
#include "trigger/deploy/deploy_context.hpp"
#include "trigger/deploy/deploy_node.hpp"

#include <algorithm>

namespace waggle::trigger {

using protocol::Outcome;

namespace {

constexpr size_t most_connecting = 256; // each has a thread; a node that does not answer occupies it for some seconds

} // namespace

Rollout::Rollout(RolloutPlan plan, KnownHostsFiles& known_hosts, Store& store, const ssh::Signer& identity,
                 const Interrupt& interrupt, Reporter& reporter)
    : plan_(std::move(plan)), known_hosts_(known_hosts), store_(store), identity_(identity), interrupt_(interrupt),
      reporter_(reporter), dialer_(std::make_unique<Dialer>(interrupt)), places_(plan_.parallel),
      packed_nars_([this] { return store_.nar_reader(); }),
      packed_derivations_([this] { return derivations_.nar_reader(); }), upload_limit_(plan_.upload_limit),
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
        report.code = reason->code;
        report.message = reason->message;
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
                                       .nar_reader = [&] { return derivations_.nar_reader(); },
                                       .packed_nars = &packed_derivations_};
        report = deploy_node(
            node, plan_.intent,
            {.connect = dialer_->connector(node, pins.nodes.at(node.name)),
             .toplevel = node.toplevel,
             .closure = [&] { return store_.closure(node.toplevel); },
             .nar_reader = [&] { return store_.nar_reader(); },
             .identity = identity_,
             .interrupt = interrupt_,
             .reporter = reporter_,
             .limits = limits_with(plan_.upload_limit, plan_.parallel),
             .knows = [&](const nix::StorePath& path) { return !store_.valid(std::span(&path, 1)).empty(); },
             .secrets = read,
             .remote_build = remote_build,
             .places = &places_,
             .packed_nars = &packed_nars_,
             .upload_limit = upload_limit_ ? &*upload_limit_ : nullptr});
    }
    show_end(reporter_, report);
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

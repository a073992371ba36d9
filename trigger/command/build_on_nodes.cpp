#include "trigger/command/build_on_nodes.hpp"

#include <utility>

namespace waggle::trigger {

void NodesThatBuild::add(std::vector<EvaluatedNode> nodes) {
    if (!rollout_) {
        identity_ = load_identity(connect_.identity, IdentityPlaces::of_this_process());
        if (identity_->warning)
            reporter_.note(*identity_->warning);
        known_hosts_.emplace(connect_.known_hosts);
        rollout_.emplace(RolloutPlan{.intent = {.goal = protocol::Goal::build},
                                     .parallel = connect_.parallel,
                                     .reach = connect_.reach,
                                     .upload_limit = connect_.upload_limit},
                         *known_hosts_, store_, *identity_->signer, interrupt_, reporter_);
    }
    for (const EvaluatedNode& node : nodes)
        nodes_.insert_or_assign(node.name, node);
    rollout_->add(std::move(nodes));
}

std::vector<NodeReport> NodesThatBuild::finish(std::vector<EvaluatedNode>& built) {
    if (!rollout_)
        return {};
    std::vector<NodeReport> failed;
    for (NodeReport& report : rollout_->finish()) {
        if (report.outcome == protocol::Outcome::ok)
            built.push_back(nodes_.at(report.node));
        else
            failed.push_back(std::move(report));
    }
    return failed;
}

} // namespace waggle::trigger

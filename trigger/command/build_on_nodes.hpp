#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/build/store.hpp"
#include "trigger/command/options.hpp"
#include "trigger/connect/identity.hpp"
#include "trigger/deploy/rollout.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace waggle::trigger {

// The nodes of `waggle build` that build their own systems. Loads the operator's key and known_hosts for the first such
// node; builds on this machine need neither.
class NodesThatBuild {
public:
    NodesThatBuild(const ConnectOptions& connect, Store& store, const Interrupt& interrupt, Reporter& reporter)
        : connect_(connect), store_(store), interrupt_(interrupt), reporter_(reporter) {}

    // Starts the builds on these nodes. Not for several threads at once. Throws Error.
    void add(std::vector<EvaluatedNode> nodes);
    // Waits for the builds. Adds the nodes that have built to `built`, and returns the reports of the others.
    std::vector<NodeReport> finish(std::vector<EvaluatedNode>& built);

private:
    const ConnectOptions& connect_;
    Store& store_;
    const Interrupt& interrupt_;
    Reporter& reporter_;
    std::map<std::string, EvaluatedNode> nodes_;
    std::optional<Identity> identity_;
    std::optional<KnownHostsFiles> known_hosts_;
    std::optional<Rollout> rollout_; // last, because it uses the members above
};

} // namespace waggle::trigger

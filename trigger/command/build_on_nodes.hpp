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

// The nodes of `waggle build` that build their systems themselves. Key and known_hosts are looked for when there is
// one: who builds here alone needs neither.
class NodesThatBuild {
public:
    NodesThatBuild(const ConnectOptions& connect, Store& store, const Interrupt& interrupt, Reporter& reporter)
        : connect_(connect), store_(store), interrupt_(interrupt), reporter_(reporter) {}

    // Asks them; one thread at a time. Throws Error.
    void add(std::vector<EvaluatedNode> nodes);
    // Waits for them, and sorts them into those that are built and those that are not.
    void finish(std::vector<EvaluatedNode>& built, std::vector<NodeReport>& failed);

private:
    const ConnectOptions& connect_;
    Store& store_;
    const Interrupt& interrupt_;
    Reporter& reporter_;
    std::map<std::string, EvaluatedNode> nodes_;
    std::optional<Identity> identity_;
    std::optional<KnownHostsFiles> known_hosts_;
    std::optional<Rollout> rollout_; // last: it uses the others
};

} // namespace waggle::trigger

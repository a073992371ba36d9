#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/build/store.hpp"
#include "trigger/deploy/document.hpp"
#include "trigger/deploy/pin.hpp"
#include "trigger/report/node_report.hpp"
#include "trigger/report/reporter.hpp"
#include "trigger/secrets/node_secrets.hpp"

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace waggle::trigger {

// How a node is reached, and the keys of which it must show one.
struct KnownNode {
    SshDestination destination;
    std::vector<ssh::PublicKey> keys;
};

// All nodes that are known, and for those that must not be connected to the sentence why.
struct Pins {
    std::map<std::string, KnownNode> nodes;
    std::map<std::string, std::string> refusals;
    std::map<std::string, SshDestination> unknown; // those of the refusals whose key is just not listed anywhere
};
Pins find_pins(const std::map<std::string, DeploymentOptions>& nodes, KnownHostsFiles& known_hosts);

// Calls `work` with 0 … count-1 from at most `parallel` threads (0: as many as there is work), and returns when all is
// done. `work` must not throw.
void in_parallel(size_t count, size_t parallel, const std::function<void(size_t)>& work);

struct RolloutPlan {
    Intent intent;
    size_t parallel = 10;
    Pins pins;
    // Of a node. Empty: all nodes keep the secrets they have.
    std::function<NodeSecrets(const NodeAddress&)> secrets = {};
};

// Deploys the nodes side by side; none stops another. Their reports are in the order of the nodes.
std::vector<NodeReport> roll_out(std::span<const EvaluatedNode> nodes, const RolloutPlan& plan, Store& store,
                                 const ssh::Signer& identity, const Interrupt& interrupt, Reporter& reporter);

} // namespace waggle::trigger

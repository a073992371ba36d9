#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/build/store.hpp"
#include "trigger/deploy/document.hpp"
#include "trigger/deploy/pin.hpp"
#include "trigger/deploy/places.hpp"
#include "trigger/deploy/reach.hpp"
#include "trigger/report/node_report.hpp"
#include "trigger/report/reporter.hpp"
#include "trigger/secrets/node_secrets.hpp"
#include "trigger/work_queue.hpp"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace waggle::trigger {

class Dialer;

// Where a node can be reached, and the keys of which it must show one.
struct KnownNode {
    SshDestination destination;
    std::vector<ssh::PublicKey> keys;
    std::vector<SshDestination> others = {}; // alternatives
};

// The nodes with usable keys, and the reason for each node that must not be connected to.
struct Pins {
    std::map<std::string, KnownNode> nodes;
    std::map<std::string, std::string> refusals;
    std::map<std::string, SshDestination> unknown; // the refused nodes whose key is merely unknown
};
Pins find_pins(const std::map<std::string, DeploymentOptions>& nodes, KnownHostsFiles& known_hosts);

// Calls `work` with 0 … count-1 from at most `parallel` threads (0: one per call), and returns when all calls are done.
// `work` must not throw.
void in_parallel(size_t count, size_t parallel, const std::function<void(size_t)>& work);

struct RolloutPlan {
    Intent intent;
    size_t parallel = 10; // nodes in work, not counting those that are still connecting
    Reach reach;
};

// Deploys nodes in parallel as they are added, independently of each other.
class Rollout {
public:
    Rollout(RolloutPlan plan, KnownHostsFiles& known_hosts, Store& store, const ssh::Signer& identity,
            const Interrupt& interrupt, Reporter& reporter);
    ~Rollout();

    // Adds nodes, from any thread. Refuses nodes that share their key with another node, including earlier ones.
    // Without `secrets` the nodes keep those that they have.
    using ReadSecrets = std::function<NodeSecrets(const NodeAddress&)>;
    void add(std::vector<EvaluatedNode> nodes, const ReadSecrets& secrets = {});
    // Waits for all added nodes and returns their reports, sorted by name.
    std::vector<NodeReport> finish();

private:
    void deploy(const EvaluatedNode& node, const Pins& pins, const ReadSecrets& secrets);

    const RolloutPlan plan_;
    KnownHostsFiles& known_hosts_;
    Store& store_;
    Store derivations_; // this machine's store, even if systems are built elsewhere
    const ssh::Signer& identity_;
    const Interrupt& interrupt_;
    Reporter& reporter_;
    const std::unique_ptr<Dialer> dialer_;
    Places places_;

    std::mutex adding_; // guards known_hosts_ and keys_
    std::map<std::string, std::vector<ssh::PublicKey>> keys_;
    std::mutex reporting_;
    std::map<std::string, NodeReport> reports_;
    WorkQueue work_; // last, because it uses the members above
};

} // namespace waggle::trigger

#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/build/store.hpp"
#include "trigger/deploy/document.hpp"
#include "trigger/deploy/pin.hpp"
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
    std::optional<bool> via_ssh; // instead of deployment.agent.via
};

// Deploys nodes side by side as they come; none stops another.
class Rollout {
public:
    Rollout(RolloutPlan plan, KnownHostsFiles& known_hosts, Store& store, const ssh::Signer& identity,
            const Interrupt& interrupt, Reporter& reporter);
    ~Rollout();

    // From any thread. Refused are nodes that have the key of another one, also of one that came before. Without
    // `secrets` the nodes keep those they have.
    using ReadSecrets = std::function<NodeSecrets(const NodeAddress&)>;
    void add(std::vector<EvaluatedNode> nodes, const ReadSecrets& secrets = {});
    // Waits for all that were added, and returns their reports in the order of their names.
    std::vector<NodeReport> finish();

private:
    void deploy(const EvaluatedNode& node, const Pins& pins, const ReadSecrets& secrets);

    const RolloutPlan plan_;
    KnownHostsFiles& known_hosts_;
    Store& store_;
    Store derivations_; // this machine's, wherever systems are built
    const ssh::Signer& identity_;
    const Interrupt& interrupt_;
    Reporter& reporter_;
    const std::unique_ptr<Dialer> dialer_;

    std::mutex adding_; // known_hosts_ and keys_
    std::map<std::string, std::vector<ssh::PublicKey>> keys_;
    std::mutex reporting_;
    std::map<std::string, NodeReport> reports_;
    WorkQueue work_; // last: it uses all of the above
};

} // namespace waggle::trigger

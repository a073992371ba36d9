#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/base/work_queue.hpp"
#include "trigger/build/store.hpp"
#include "trigger/connect/known_nodes.hpp"
#include "trigger/connect/reach.hpp"
#include "trigger/deploy/document.hpp"
#include "trigger/deploy/packed_nars.hpp"
#include "trigger/deploy/places.hpp"
#include "trigger/deploy/upload_limit.hpp"
#include "trigger/report/node_report.hpp"
#include "trigger/report/reporter.hpp"
#include "trigger/secrets/node_secrets.hpp"

#include <cstdint>
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

struct RolloutPlan {
    Intent intent;
    size_t parallel = 10; // nodes in work, not counting those that are still connecting
    Reach reach;
    std::optional<std::uint64_t> upload_limit = std::nullopt; // bytes per second, for all nodes together
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
    PackedNars packed_nars_;
    PackedNars packed_derivations_;
    std::optional<UploadLimit> upload_limit_;

    std::mutex adding_; // guards known_hosts_ and keys_
    std::map<std::string, std::vector<ssh::PublicKey>> keys_;
    std::mutex reporting_;
    std::map<std::string, NodeReport> reports_;
    WorkQueue work_; // last, because it uses the members above
};

} // namespace waggle::trigger

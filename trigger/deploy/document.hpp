#pragma once

#include "shared/protocol/deployment.hpp"
#include "shared/protocol/messages.hpp"
#include "trigger/hive/hive.hpp"

#include <optional>
#include <string>

namespace waggle::trigger {

// What the operator asked for, the same for all nodes of a run.
struct Intent {
    protocol::Goal goal = protocol::Goal::switch_;
    bool force = false;                    // whatever was admitted last
    bool remove_agent = false;             // the new system may be without the agent
    bool no_rollback = false;              // whatever the hive says
    bool replace_unknown_profiles = false; // also where the hive says to keep them
    bool reset_state = false;              // the node may forget a record of earlier deployments that it cannot read
    protocol::Reboot reboot = protocol::Reboot::never;
    std::optional<protocol::GitRevision> git = std::nullopt;
};

// What a deployment brings.
struct Cargo {
    std::optional<nix::StorePath> toplevel;
    std::optional<protocol::ClosureSummary> closure;
    protocol::Secrets secrets = {};
};

// Why this node must not be asked to become what was evaluated; nullopt when nothing speaks against it.
std::optional<std::string> objection(const DeployedNode& node, const Intent& intent);
std::optional<std::string> objection(const DeployedNode& node, const protocol::Facts& facts, Time now);

// The deployment that follows what the agent said of itself.
protocol::Deployment make_deployment(const DeployedNode& node, const Intent& intent, const protocol::Facts& facts,
                                     const ssh::PublicKey& node_key, const Cargo& cargo, Time now);
// The sequence that it has: greater than the last one.
std::int64_t next_sequence(const protocol::Facts& facts, Time now);

} // namespace waggle::trigger

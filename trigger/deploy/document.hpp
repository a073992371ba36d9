#pragma once

#include "shared/protocol/deployment.hpp"
#include "shared/protocol/messages.hpp"
#include "trigger/hive/hive.hpp"

#include <optional>
#include <string>

namespace waggle::trigger {

// The operator's options, the same for all nodes of a run.
struct Intent {
    protocol::Goal goal = protocol::Goal::switch_;
    bool force = false;                    // ignore the last admitted deployment
    bool remove_agent = false;             // allow a new system without the agent
    bool no_rollback = false;              // override the hive
    bool replace_unknown_profiles = false; // override deployment.replaceUnknownProfiles
    bool reset_state = false;              // let the node discard an unreadable state file
    bool install_boot_loader = false;
    protocol::Reboot reboot = protocol::Reboot::never;
    std::optional<protocol::GitRevision> git = std::nullopt;
};

// The content of a deployment.
struct Contents {
    std::optional<nix::StorePath> toplevel;
    std::optional<protocol::ClosureSummary> closure;
    protocol::Secrets secrets = {};
};

// Why this node must not get the evaluated system, or nullopt. The codes are those of an agent that refuses it.
std::optional<protocol::Refused> reason_to_refuse(const DeployedNode& node, const Intent& intent);
std::optional<protocol::Refused> reason_to_refuse(const DeployedNode& node, const protocol::Facts& facts, Time now);

// A warning if the node's clock and this machine's differ by more than a few minutes.
std::optional<std::string> clock_warning(const protocol::Facts& facts, Time now);

// Makes the next deployment for the node, addressed to the name that its agent has now.
protocol::Deployment make_deployment(const DeployedNode& node, const AgentName& name, const Intent& intent,
                                     const protocol::Facts& facts, const ssh::PublicKey& node_key,
                                     const Contents& contents, Time now);
// The sequence number of the next deployment, greater than the last one.
std::int64_t next_sequence(const protocol::Facts& facts, Time now);

} // namespace waggle::trigger

#pragma once

#include "shared/nix/store_path.hpp"
#include "shared/protocol/deployment.hpp"
#include "trigger/hive/key_source.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace waggle::trigger {

// What a hive says of itself and which nodes it has; known without evaluating any node.
struct HiveInfo {
    std::string name;
    std::string description;
    bool allow_apply_all = true;
    std::optional<std::string> machines_file;          // remote builders, for Nix
    std::vector<std::string> nodes;                    // sorted
    std::vector<std::string> recovery_recipients = {}; // who can open secret bundles besides their nodes
};

// `deployment.*` of a node.
struct DeploymentOptions {
    std::vector<std::string> tags;
    std::optional<std::string> target_host;   // nullopt: not deployed over the network
    std::vector<std::string> other_hosts;     // where it may answer instead
    std::optional<std::uint16_t> target_port; // of sshd: known_hosts lists the host under it
    bool agent_enable = true;
    std::uint16_t agent_port = 9244;
    std::vector<std::uint16_t> other_ports;    // at which its agent may answer instead
    std::optional<std::string> agent_host_key; // "ssh-ed25519 AAAA…"
    bool agent_via_ssh = false;                // its port is reached by `ssh -W`
    protocol::Rollback rollback;
    protocol::LocalContent local_content = protocol::LocalContent::trust_node;
    bool replace_unknown_profiles = true;
    bool build_on_target = false;              // the node builds its system itself
    std::optional<std::string> specialisation; // as protocol::Deployment's
    std::vector<KeySource> keys = {};          // where they were asked for
};

// What an agent calls itself: services.waggle-agent.hive and .node of the system that runs.
struct AgentName {
    std::string hive;
    std::string node;
    bool operator==(const AgentName&) const = default;
};

// What a running agent is asked by: enough to open a session, too little to deploy.
struct NodeAddress {
    std::string name; // the attribute in the hive
    DeploymentOptions deployment;
    std::string hive;                        // services.waggle-agent.hive
    std::string node;                        // services.waggle-agent.node
    std::string system;                      // "x86_64-linux"
    std::vector<std::string> operators = {}; // public keys
    // Other names that the agent may have until it is deployed, likely ones first.
    std::vector<AgentName> former_names = {};
};

// A node that is deployed to, whatever it gets.
struct DeployedNode : NodeAddress {
    bool agent_enabled = false; // services.waggle-agent.enable
};

// A node that was evaluated to its end.
struct EvaluatedNode : DeployedNode {
    nix::StorePath drv;
    nix::StorePath toplevel;
};

} // namespace waggle::trigger

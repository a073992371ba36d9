#pragma once

#include "shared/base/error.hpp"
#include "shared/nix/store_path.hpp"
#include "shared/protocol/deployment.hpp"
#include "trigger/hive/key_source.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace waggle::trigger {

// A hive's own properties and the names of its nodes, known without evaluating any node.
struct HiveInfo {
    std::string name;
    std::string description;
    bool allow_apply_all = true;
    std::optional<std::string> machines_file;          // remote builders, for Nix
    std::vector<std::string> nodes;                    // sorted
    std::vector<std::string> recovery_recipients = {}; // can open secret bundles in addition to the nodes
};

// The options `deployment.*` of a node.
struct DeploymentOptions {
    std::vector<std::string> tags;
    std::optional<std::string> target_host;   // nullopt: not deployed over the network
    std::vector<std::string> other_hosts;     // alternatives to target_host
    std::optional<std::uint16_t> target_port; // of sshd; known_hosts lists the host with it
    bool agent_enable = true;
    std::uint16_t agent_port = 9244;
    std::vector<std::uint16_t> other_ports;    // alternatives to agent_port
    std::optional<std::string> agent_host_key; // "ssh-ed25519 AAAA…"
    bool agent_via_ssh = false;                // connect to the agent's port with `ssh -W`
    protocol::Rollback rollback;
    protocol::LocalContent local_content = protocol::LocalContent::trust_node;
    bool replace_unknown_profiles = true;
    bool build_on_target = false;              // the node builds its own system
    std::optional<std::string> specialisation; // as in protocol::Deployment
    std::vector<KeySource> keys = {};          // only if they were evaluated

    // Returns target_host of a node that is deployed over the network. Throws Error for any other.
    const std::string& require_target_host() const {
        if (!target_host)
            throw Error("deployment.targetHost is null");
        return *target_host;
    }
};

// The name of an agent: services.waggle-agent.hive and .node of the running system.
struct AgentName {
    std::string hive;
    std::string node;
    bool operator==(const AgentName&) const = default;
};

// What is needed to open a session with a running agent, but not to deploy.
struct NodeAddress {
    std::string name; // the attribute in the hive
    DeploymentOptions deployment;
    std::string hive;                        // services.waggle-agent.hive
    std::string node;                        // services.waggle-agent.node
    std::string system;                      // "x86_64-linux"
    std::vector<std::string> operators = {}; // public keys
    // Other names that the agent may have until the next deployment, likely ones first.
    std::vector<AgentName> former_names = {};
};

// A node to deploy to, whatever it is sent.
struct DeployedNode : NodeAddress {
    bool agent_enabled = false; // services.waggle-agent.enable
};

// A node whose system was evaluated.
struct EvaluatedNode : DeployedNode {
    nix::StorePath drv;
    nix::StorePath toplevel;
};

} // namespace waggle::trigger

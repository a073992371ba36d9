#pragma once

#include "shared/base/process.hpp"
#include "shared/net/client.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace waggle::trigger {

// The route to an agent whose port is not reachable: `ssh -W localhost:PORT HOST` lets the node's own sshd connect to
// the agent. Jump hosts, user and keys are those of ssh's configuration. The TLS session and its pins stay the same;
// sshd only forwards bytes.
struct SshRoute {
    std::string host; // as in the hive; ssh resolves it by its configuration
    std::optional<std::uint16_t> ssh_port;
    std::uint16_t agent_port = 0;
};

// The ssh command. It never prompts, because many connections are made in parallel.
Command tunnel_command(const SshRoute& route);

// Why the connection failed: from ssh's standard error if possible, otherwise from the symptom.
std::string tunnel_failure(const std::string& command, std::string_view words, const std::string& symptom);

// Starts ssh and calls `connect` with a socket to it. Destroying the connection ends ssh. Adds ssh's own message to a
// net::Unreachable that `connect` throws.
net::NodeConnection connect_through_ssh(const SshRoute& route, const std::function<net::NodeConnection(Fd)>& connect);

} // namespace waggle::trigger

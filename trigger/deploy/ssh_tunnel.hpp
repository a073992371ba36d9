#pragma once

#include "shared/base/process.hpp"
#include "shared/net/client.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace waggle::trigger {

// The way to an agent whose port cannot be reached from here: `ssh -W localhost:PORT HOST`, so that the node's own sshd
// connects to the agent. Jump hosts, user and keys are those of ssh's configuration. Inside it is the same TLS session
// with the same pins: sshd only carries bytes.
struct SshRoute {
    std::string host; // as in the hive: ssh looks it up in its configuration
    std::optional<std::uint16_t> ssh_port;
    std::uint16_t agent_port = 0;
};

// The command; nothing is asked on a terminal, because many nodes are connected side by side.
Command tunnel_command(const SshRoute& route);

// Starts ssh and makes a connection over it, which ends ssh when it goes. `connect` is given the socket. What it throws
// as net::Unreachable gets ssh's own words.
net::NodeConnection connect_through_ssh(const SshRoute& route, const std::function<net::NodeConnection(Fd)>& connect);

} // namespace waggle::trigger

#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/net/client.hpp"
#include "shared/protocol/hello.hpp"
#include "shared/protocol/messages.hpp"
#include "trigger/hive/hive.hpp"

#include <functional>
#include <string>

namespace waggle::trigger {

// The agent refused a request, with a code and a message.
class RefusedByNode : public Error {
public:
    explicit RefusedByNode(const protocol::Refused& refused) : Error(refused.message), code_(refused.code) {}
    const std::string& code() const { return code_; }

private:
    std::string code_;
};

// An authenticated connection to an agent, and the facts that it sent about its node.
struct Session {
    net::NodeConnection link;
    protocol::Facts facts;
    AgentName name; // the name that the agent answers to

    // Closes the connection gracefully, and forcibly if the agent takes longer than a second.
    void close() const noexcept;
};

// Opens a connection on which the node has shown a pinned key. Throws what net::Client::connect throws.
using Connect = std::function<net::NodeConnection(Deadline)>;

// Connects and authenticates. Retries for a while with growing pauses, because an agent refuses connections while it
// restarts, and may close ours while it is flooded. Falls back to the node's former names. Throws what `connect`
// throws, RefusedByNode, net::ConnectionLost, TimedOut, BadDocument.
Session open_session(const Connect& connect, const NodeAddress& address, const ssh::Signer& identity,
                     const Interrupt& interrupt);

// Calls `attempt`, and retries it for a while after errors that a restarting or flooded agent causes. Each attempt has
// a deadline of its own. Throws what the last attempt threw, or Interrupted.
void try_for_a_while(const Interrupt& interrupt, const std::function<void()>& attempt);

} // namespace waggle::trigger

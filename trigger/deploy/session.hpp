#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/net/client.hpp"
#include "shared/protocol/hello.hpp"
#include "shared/protocol/messages.hpp"
#include "trigger/hive/hive.hpp"

#include <functional>
#include <string>

namespace waggle::trigger {

// The agent said no, with its code and a sentence.
class RefusedByNode : public Error {
public:
    explicit RefusedByNode(const protocol::Refused& refused) : Error(refused.message), code_(refused.code) {}
    const std::string& code() const { return code_; }

private:
    std::string code_;
};

// One authenticated connection to an agent, and what it said of its node.
struct Session {
    net::NodeConnection link;
    protocol::Facts facts;
};

// Opens a connection to the node, in which it has shown a pinned key. Throws what net::Client::connect throws.
using Connect = std::function<net::NodeConnection(Deadline)>;

// Connects and proves who we are. An agent that restarts itself refuses connections for a moment, and one that is
// flooded may close ours, so both are tried again for a while, with growing pauses. Throws what `connect` throws,
// RefusedByNode, net::ConnectionLost, TimedOut, BadDocument.
Session open_session(const Connect& connect, const NodeAddress& address, const ssh::Signer& identity,
                     const Interrupt& interrupt);

// Makes an attempt to reach an agent, again for a while where it failed as one fails against an agent that restarts
// itself or is flooded; each attempt has a deadline of its own. Throws what the last one threw, or Interrupted.
void try_for_a_while(const Interrupt& interrupt, const std::function<void()>& attempt);

// Waits until the time is over; throws Interrupted when that is asked for first.
void pause(std::chrono::milliseconds duration, const Interrupt& interrupt);

} // namespace waggle::trigger

#pragma once

#include "shared/base/error.hpp"
#include "shared/base/time.hpp"

#include <chrono>
#include <optional>
#include <string>

namespace waggle::net {

// The connection broke, or the peer closed it in the middle of something.
class ConnectionLost : public Error {
public:
    using Error::Error;
};

// How a dead peer is noticed. Each side sends something at least once in every two ticks (an unsolicited WebSocket
// pong, RFC 6455 section 5.5.3, if there is nothing else), so silence means that the peer or the network has failed.
// Nothing ticks without a connection.
struct KeepAlive {
    std::chrono::milliseconds tick{5000};
    std::chrono::milliseconds silence{25000}; // a longer silence is a lost connection, noticed at the next tick
    std::chrono::milliseconds stall{120000};  // in which the peer must accept one message; also a minimum rate
};

// An authenticated connection that carries whole messages. Calls block the calling thread; the I/O itself happens on
// the I/O thread. One thread may send while another receives.
class Connection {
public:
    virtual ~Connection() = default;

    // Returns when the message is on its way and at most a few messages are queued (backpressure). Throws
    // ConnectionLost, or TimedOut if the message was not sent; the connection is then still usable.
    virtual void send(std::string message, Deadline deadline) = 0;

    // Returns the next message, or nullopt if the peer has closed the connection gracefully. Throws ConnectionLost or
    // TimedOut. After TimedOut the connection is still usable.
    virtual std::optional<std::string> receive(Deadline deadline) = 0;

    // Sends what is queued, then closes gracefully, or forcibly at `deadline`. Drops messages that were not received.
    virtual void finish(Deadline deadline) noexcept = 0;

    // Breaks the connection at once, from any thread. Blocked calls throw ConnectionLost.
    virtual void abort() noexcept = 0;

    // "[2001:db8::7]:50312", for logs.
    virtual std::string peer() const = 0;
};

} // namespace waggle::net

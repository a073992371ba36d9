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

// How a dead peer is noticed. Each side says something at least every second `tick` (an unsolicited WebSocket pong,
// RFC 6455 section 5.5.3, when there is nothing else), so silence means that the peer or the network is gone. Nothing
// ticks where there is no connection.
struct KeepAlive {
    std::chrono::milliseconds tick{5000};
    std::chrono::milliseconds silence{25000}; // longer is a lost connection; noticed at the next tick
    std::chrono::milliseconds stall{120000};  // in which the peer takes one message; also a minimum rate
};

// An authenticated connection that carries whole messages. Calls block the calling thread; the I/O itself happens on
// the I/O thread. One thread may send while another receives.
class Connection {
public:
    virtual ~Connection() = default;

    // Returns when the message is on its way and at most a few messages are queued (backpressure).
    // Throws ConnectionLost, or TimedOut: the message was not sent, the connection is still good.
    virtual void send(std::string message, Deadline deadline) = 0;

    // The next message; nullopt when the peer has closed in an orderly way. Throws ConnectionLost or TimedOut; after
    // TimedOut the connection is still good.
    virtual std::optional<std::string> receive(Deadline deadline) = 0;

    // Sends what is queued, then closes in an orderly way, or at `deadline` in any. What was not received is dropped.
    virtual void finish(Deadline deadline) noexcept = 0;

    // Breaks the connection at once, from any thread; blocked calls throw ConnectionLost.
    virtual void abort() noexcept = 0;

    // "[2001:db8::7]:50312", for logs.
    virtual std::string peer() const = 0;
};

} // namespace waggle::net

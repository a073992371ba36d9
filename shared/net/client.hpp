#pragma once

#include "shared/base/fd.hpp"
#include "shared/net/connection.hpp"
#include "shared/protocol/hello.hpp"
#include "shared/ssh/key.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace waggle::net {

// The node could not be reached: no address, connection refused, no answer.
class Unreachable : public Error {
public:
    using Error::Error;
};

// The peer accepted the connection and closed it at once, or without a message, as a flooded node does.
class TurnedAway : public Unreachable {
public:
    using Unreachable::Unreachable;
};

// The node presented a key that is not pinned. Nothing was signed or sent.
class WrongHostKey : public Error {
public:
    WrongHostKey(const std::string& message, ssh::PublicKey observed) : Error(message), observed_(observed) {}
    const ssh::PublicKey& observed() const { return observed_; }

private:
    ssh::PublicKey observed_;
};

// An open connection to a node whose key is one of the pinned ones.
struct NodeConnection {
    std::unique_ptr<Connection> connection;
    ssh::PublicKey node_key;
    protocol::Exporter exporter;
};

// Makes connections, with all their I/O on one thread. The destructor breaks the remaining ones.
class Client {
public:
    explicit Client(KeepAlive keep_alive = {});
    ~Client();

    // Connects by TCP (all addresses of the name) and TLS 1.3, checks the pin, and opens the WebSocket, all by
    // `deadline`. The first message to receive is then the challenge. Throws Unreachable (also for no answer in time),
    // WrongHostKey, or ConnectionLost after abort_all.
    NodeConnection connect(const std::string& host, std::uint16_t port, const std::vector<ssh::PublicKey>& pins,
                           Deadline deadline);

    // Does the same over a stream socket that leads to the node, such as a child's. `host` and `port` are for messages.
    NodeConnection connect_over(Fd socket, const std::string& host, std::uint16_t port,
                                const std::vector<ssh::PublicKey>& pins, Deadline deadline);

    // Breaks every connection and every connect under way (ConnectionLost), and every later connect. May be called from
    // any thread.
    void abort_all() noexcept;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace waggle::net

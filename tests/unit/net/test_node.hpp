#pragma once

#include "shared/net/client.hpp"
#include "shared/net/server.hpp"
#include "shared/protocol/messages.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

namespace waggle::net {

inline Deadline soon() {
    return deadline_in(std::chrono::seconds(20));
} // sanitizers on a busy machine included

// Asks until the answer is yes; no after 20 s.
inline bool eventually(const std::function<bool()>& question) {
    for (Deadline deadline = soon(); std::chrono::steady_clock::now() < deadline;) {
        if (question())
            return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
}

// What another thread promised; throws TimedOut after 20 s.
template <class T>
T get_soon(std::future<T> future) {
    if (future.wait_until(soon()) != std::future_status::ready)
        throw TimedOut("it did not happen");
    return future.get();
}

// A gate that one thread waits at until another opens it.
class Gate {
public:
    void open() {
        std::lock_guard guard(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    bool wait() {
        std::unique_lock lock(mutex_);
        return changed_.wait_until(lock, soon(), [&] { return open_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
};

// Sends every message back, until the peer closes.
inline void echo(OperatorSession session) {
    while (auto message = session.connection->receive(soon()))
        session.connection->send(std::move(*message), soon());
}

inline ServerOptions loopback() {
    ServerOptions options;
    options.listen = {"127.0.0.1"};
    options.port = 0;
    return options;
}

// A node with one operator.
struct TestNode {
    explicit TestNode(Server::Handler handler = echo, ServerOptions options = loopback())
        : server(std::move(options), host_key,
                 {"demo", "alpha", [this] { return std::vector{operator_key.public_key()}; }}, std::move(handler)) {}

    NodeConnection connect(Client& client) const {
        return client.connect("127.0.0.1", server.port(), {host_key.public_key()}, soon());
    }

    // The hello of a listed operator on this connection, after it has received the challenge.
    protocol::Hello hello(NodeConnection& node) const {
        protocol::Hello hello{node.exporter, {}, "demo", "alpha", node.node_key, {1}, now()};
        hello.nonce = protocol::parse_challenge(node.connection->receive(soon()).value());
        return hello;
    }

    NodeConnection open_session(Client& client) const {
        NodeConnection node = connect(client);
        node.connection->send(protocol::sign_hello(hello(node), operator_key), soon());
        return node;
    }

    ssh::PrivateKey host_key = ssh::PrivateKey::generate();
    ssh::PrivateKey operator_key = ssh::PrivateKey::generate();
    Server server;
};

// The refusal that is the connection's next and last message.
inline protocol::Refused receive_refusal(Connection& connection) {
    auto incoming = protocol::decode(connection.receive(soon()).value());
    EXPECT_EQ(connection.receive(soon()), std::nullopt);
    return std::get<protocol::Refused>(std::get<protocol::Message>(incoming));
}

} // namespace waggle::net

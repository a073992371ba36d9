#pragma once

#include "shared/net/connection.hpp"
#include "shared/net/socket.hpp"
#include "shared/protocol/hello.hpp"
#include "shared/ssh/key.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace waggle::net {

struct ServerOptions {
    std::vector<std::string> listen;               // addresses, or names of interfaces
    std::uint16_t port = 9244;                     // 0: any free one (tests)
    size_t max_connections = 64;                   // in total; when full, the oldest without a session makes room
    size_t max_connections_per_address = 8;        // without a session; an IPv4 address or an IPv6 network of 64 bits
    size_t max_sessions = 8;                       // authenticated ones; each has a thread
    size_t max_leaving = 448;                      // that make room, but have some of least_lifetime left
    std::chrono::milliseconds hello_timeout{5000}; // for TCP, TLS, WebSocket and hello together
    std::chrono::milliseconds least_lifetime{750}; // before a connection without a session makes room for another
    KeepAlive keep_alive;
};

// Defines who may open a session.
struct SessionPolicy {
    std::string hive;
    std::string node;
    std::function<std::vector<ssh::PublicKey>()> operators; // called at every hello, on the I/O thread
};

// An operator's session, admitted by protocol::admit_hello.
struct OperatorSession {
    std::unique_ptr<Connection> connection;
    ssh::PublicKey operator_key;
    Time hello_time;
    int version = 0;
    protocol::Exporter exporter{}; // of the TLS session
};

// A TLS 1.3 WebSocket server that proves its identity with an SSH host key (no resumption, ALPN waggle/1) and lets only
// operators past the challenge. There is one I/O thread. Each session's handler runs on a thread of its own, with at
// most max_sessions of them.
class Server {
public:
    using Handler = std::function<void(OperatorSession)>; // exceptions are logged

    // Listens when it returns. Throws Error, naming the address that it cannot listen on.
    Server(ServerOptions options, const ssh::PrivateKey& host_key, SessionPolicy policy, Handler handler);
    // Does the same with sockets that listen already; options.listen and port are ignored.
    Server(std::vector<Listener> listeners, ServerOptions options, const ssh::PrivateKey& host_key,
           SessionPolicy policy, Handler handler);
    // Stops accepting, breaks all connections, joins all threads.
    ~Server();

    std::uint16_t port() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace waggle::net

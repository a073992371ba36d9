#pragma once

#include "shared/base/fd.hpp"
#include "shared/ssh/key.hpp"

#include <openssl/ssl.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

namespace waggle::net {

// A hostile node: our TLS with its own host key, and a manual WebSocket that carries whatever the test sends.
// Serves one connection, on a thread of its own.
class HostileNode {
public:
    // The operator who has connected.
    class Guest {
    public:
        Guest(int socket, SSL_CTX* context);

        void say(std::string_view message);
        // The next message; throws Error when the connection ends first.
        std::string hear();

    private:
        struct Free {
            void operator()(SSL* tls) const { SSL_free(tls); }
        };
        void shake_hands();
        std::string read(size_t bytes);

        std::unique_ptr<SSL, Free> tls_;
    };

    HostileNode(const ssh::PrivateKey& host_key, std::function<void(Guest&)> script);
    HostileNode(const HostileNode&) = delete;
    HostileNode& operator=(const HostileNode&) = delete;
    ~HostileNode();

    std::uint16_t port() const { return port_; }

    // Waits for one guest and runs the script with it. Throws Error if the guest leaves first; false: no guest came.
    static bool serve(int listening_socket, const ssh::PrivateKey& host_key, const std::function<void(Guest&)>& script,
                      std::chrono::milliseconds patience);

private:
    Fd listener_;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

} // namespace waggle::net

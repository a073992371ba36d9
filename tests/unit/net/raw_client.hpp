#pragma once

#include "shared/base/fd.hpp"
#include "shared/base/time.hpp"

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::net {

// A TCP connection from 127.0.0.N, as any program might make it.
class RawClient {
public:
    explicit RawClient(std::uint16_t port, std::uint8_t last_byte_of_source = 1);

    void send(std::string_view bytes);
    // What a TLS server answers with an alert.
    void send_broken_handshake();
    // Everything until the peer closes; throws TimedOut.
    std::string receive_all();
    const Fd& fd() const { return fd_; }

private:
    Fd fd_;
};

// What a TLS client brings along that is not ours.
struct RawTlsOptions {
    bool alpn = true;
    int greatest_version = TLS1_3_VERSION;
    std::string signatures = "";    // empty: OpenSSL's default
    SSL_SESSION* session = nullptr; // to be resumed
};

// TLS by OpenSSL alone, without any of our settings, and the WebSocket handshake by hand.
class RawTlsClient {
public:
    explicit RawTlsClient(std::uint16_t port, const RawTlsOptions& options = {});

    bool connected() const { return connected_; }
    SSL* tls() { return tls_.get(); }
    // Everything until the text appears or the peer closes.
    std::string read_until(std::string_view text);
    // Upgrades and waits for the challenge. All TLS messages after the handshake have then been read.
    std::string read_challenge();
    int tickets() const { return tickets_; }

private:
    struct Free {
        void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
        void operator()(SSL* tls) const { SSL_free(tls); }
    };
    RawClient tcp_;
    std::unique_ptr<SSL_CTX, Free> context_;
    std::unique_ptr<SSL, Free> tls_;
    bool connected_ = false;
    int tickets_ = 0;
};

} // namespace waggle::net

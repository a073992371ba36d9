#pragma once

#include "shared/protocol/hello.hpp"
#include "shared/ssh/key.hpp"

#include <memory>
#include <string_view>

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;

namespace waggle::net {

// TLS 1.3 as both sides use it: Ed25519 signatures only, no tickets, no resumption, no early data, no compression, ALPN
// required. A resumed session would skip the certificate, and with it the comparison with the pin.

inline constexpr std::string_view alpn_protocol = "waggle/1";

struct FreeTlsContext {
    void operator()(SSL_CTX* context) const;
};
using TlsContext = std::unique_ptr<SSL_CTX, FreeTlsContext>;

// Proves the possession of `host_key` with a certificate that is signed by that key itself.
TlsContext make_server_tls(const ssh::PrivateKey& host_key);

// Accepts any Ed25519 certificate. After the handshake, the caller compares peer_key() with the pin.
TlsContext make_client_tls();

// Throws Error unless the finished handshake meets this file's first comment.
void require_full_handshake(const SSL* tls);

// The key in the peer's certificate. In a full handshake the peer has proved that it has the private key.
ssh::PublicKey peer_key(const SSL* tls);

// RFC 9266: the same 32 bytes on both sides of this TLS session, and nowhere else.
protocol::Exporter exporter(SSL* tls);

} // namespace waggle::net

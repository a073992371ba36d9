#include "tests/unit/net/raw_client.hpp"

#include "shared/base/error.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <csignal>

namespace waggle::net {
namespace {

constexpr std::chrono::seconds patience{20};

sockaddr_in loopback_address(std::uint8_t last_byte, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(0x7f000000U | last_byte);
    return address;
}

} // namespace

RawClient::RawClient(std::uint16_t port, std::uint8_t last_byte_of_source)
    : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in from = loopback_address(last_byte_of_source, 0);
    sockaddr_in to = loopback_address(1, port);
    if (bind(fd_.get(), reinterpret_cast<sockaddr*>(&from), sizeof from) != 0 ||
        connect(fd_.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
        throw SystemError("connecting");
    timeval limit{patience.count(), 0}; // for OpenSSL's reads
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

void RawClient::send(std::string_view bytes) {
    if (::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0)
        throw SystemError("sending");
}

void RawClient::send_broken_handshake() {
    using namespace std::string_view_literals;
    send("\x16\x03\x01\x00\x08\x01\x00\x00\x04oops"sv); // a record with a client hello that is too short
}

std::string RawClient::receive_all() {
    std::string all;
    std::array<char, 4096> buffer{};
    while (true) {
        ssize_t got = recv(fd_.get(), buffer.data(), buffer.size(), 0);
        if (got < 0 && errno == EAGAIN)
            throw TimedOut("the peer does not close");
        if (got <= 0) // a reset is also an end
            return all;
        all.append(buffer.data(), static_cast<size_t>(got));
    }
}

RawTlsClient::RawTlsClient(std::uint16_t port, const RawTlsOptions& options)
    : tcp_(port), context_(SSL_CTX_new(TLS_client_method())) {
    sigset_t pipe_signal; // OpenSSL's own socket writes raise it; ours must not
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);
    SSL_CTX_set_max_proto_version(context_.get(), options.greatest_version);
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT);
    if (!options.signatures.empty())
        SSL_CTX_set1_sigalgs_list(context_.get(), options.signatures.c_str());
    SSL_CTX_set_app_data(context_.get(), this);
    SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* tls, SSL_SESSION*) {
        ++static_cast<RawTlsClient*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(tls)))->tickets_;
        return 0;
    });
    tls_.reset(SSL_new(context_.get()));
    constexpr std::array<unsigned char, 9> alpn = {8, 'w', 'a', 'g', 'g', 'l', 'e', '/', '1'};
    if (options.alpn)
        SSL_set_alpn_protos(tls_.get(), alpn.data(), alpn.size());
    if (options.session)
        SSL_set_session(tls_.get(), options.session);
    SSL_set_fd(tls_.get(), tcp_.fd().get());
    connected_ = SSL_connect(tls_.get()) == 1;
}

std::string RawTlsClient::read_until(std::string_view text) {
    std::string all;
    std::array<char, 4096> buffer{};
    while (all.find(text) == std::string::npos) {
        int got = SSL_read(tls_.get(), buffer.data(), buffer.size());
        if (got <= 0)
            break;
        all.append(buffer.data(), static_cast<size_t>(got));
    }
    return all;
}

std::string RawTlsClient::read_challenge() {
    constexpr std::string_view upgrade = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                         "Sec-WebSocket-Version: 13\r\n"
                                         "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    if (SSL_write(tls_.get(), upgrade.data(), static_cast<int>(upgrade.size())) <= 0)
        return "";
    return read_until("challenge");
}

} // namespace waggle::net

#include "tests/unit/net/hostile_node.hpp"

#include "shared/base/error.hpp"
#include "shared/net/socket.hpp"
#include "shared/net/tls.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <utility>

namespace waggle::net {

namespace {

constexpr int patience_s = 20;

// RFC 6455 section 4.2.2.
std::string accept_key(const std::string& key) {
    const std::string text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
    std::array<unsigned char, 64> encoded{};
    const int length = EVP_EncodeBlock(encoded.data(), digest.data(), static_cast<int>(size));
    return {encoded.begin(), encoded.begin() + length};
}

} // namespace

HostileNode::Guest::Guest(int socket, SSL_CTX* context) : tls_(SSL_new(context)) {
    ::fcntl(socket, F_SETFL, 0); // blocking, with a limit
    const timeval limit{patience_s, 0};
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    SSL_set_fd(tls_.get(), socket);
    if (SSL_accept(tls_.get()) != 1)
        throw Error("no TLS handshake");
    shake_hands();
}

void HostileNode::Guest::shake_hands() {
    constexpr std::string_view header = "Sec-WebSocket-Key: ";
    std::string request;
    while (!request.ends_with("\r\n\r\n"))
        request += read(1);
    const auto begin = request.find(header) + header.size();
    const auto answer = fmt::format("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                    "Sec-WebSocket-Accept: {}\r\n\r\n",
                                    accept_key(request.substr(begin, request.find('\r', begin) - begin)));
    SSL_write(tls_.get(), answer.data(), static_cast<int>(answer.size()));
}

std::string HostileNode::Guest::read(size_t bytes) {
    std::string all(bytes, '\0');
    for (size_t at = 0; at < bytes;) {
        const int got = SSL_read(tls_.get(), all.data() + at, static_cast<int>(bytes - at));
        if (got <= 0)
            throw Error("the guest has left");
        at += static_cast<size_t>(got);
    }
    return all;
}

// RFC 6455 section 5.2: one binary frame, unmasked.
void HostileNode::Guest::say(std::string_view message) {
    std::string frame = "\x82";
    if (message.size() < 126) {
        frame += static_cast<char>(message.size());
    } else if (message.size() < (1 << 16)) {
        frame += '\x7e';
        for (const int shift : {8, 0})
            frame += static_cast<char>(message.size() >> shift);
    } else {
        frame += '\x7f';
        for (const int shift : {56, 48, 40, 32, 24, 16, 8, 0})
            frame += static_cast<char>(message.size() >> shift);
    }
    frame += message;
    if (SSL_write(tls_.get(), frame.data(), static_cast<int>(frame.size())) <= 0)
        throw Error("the guest has left");
}

std::string HostileNode::Guest::hear() {
    const auto head = read(2);
    if (head[0] != '\x82')
        throw Error("no binary message");
    size_t size = static_cast<unsigned char>(head[1]) & 0x7f;
    if (size >= 126) {
        const auto long_size = read(size == 126 ? 2 : 8);
        size = 0;
        for (const char byte : long_size)
            size = (size << 8) | static_cast<unsigned char>(byte);
    }
    const auto mask = read(4);
    auto message = read(size);
    for (size_t i = 0; i < message.size(); ++i)
        message[i] = static_cast<char>(message[i] ^ mask[i % 4]);
    return message;
}

HostileNode::HostileNode(const ssh::PrivateKey& host_key, std::function<void(Guest&)> script) {
    std::vector<Listener> listeners = listen_on({"127.0.0.1"}, 0);
    listener_ = std::move(listeners.front().fd);
    port_ = listeners.front().endpoint.port();
    thread_ = std::thread([this, &host_key, script = std::move(script)] {
        try {
            serve(
                listener_.get(), host_key,
                [&](Guest& guest) {
                    listener_ = Fd(); // later connections are refused
                    script(guest);
                },
                std::chrono::seconds(patience_s));
        } catch (const std::exception& error) {
            ADD_FAILURE() << "the hostile node: " << error.what();
        }
    });
}

HostileNode::~HostileNode() {
    thread_.join();
}

bool HostileNode::serve(int listening_socket, const ssh::PrivateKey& host_key,
                        const std::function<void(Guest&)>& script, std::chrono::milliseconds patience) {
    sigset_t pipe_signal; // OpenSSL's own socket writes raise it
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);
    pollfd waiting{listening_socket, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(patience.count())) <= 0)
        return false;
    const Accepted accepted = accept_from(listening_socket);
    const TlsContext context = make_server_tls(host_key);
    Guest guest(accepted.fd.get(), context.get());
    script(guest);
    return true;
}

} // namespace waggle::net

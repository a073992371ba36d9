#include "tests/unit/net/recorder.hpp"

#include "shared/net/socket.hpp"
#include "tests/unit/net/raw_client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

namespace waggle::net {

namespace {

constexpr int patience_ms = 20'000;

// False: this side has nothing more to say.
bool pass_piece(int from, int to, std::string* copy) {
    std::array<char, 16 << 10> piece{};
    const ssize_t count = ::recv(from, piece.data(), piece.size(), 0);
    if (count <= 0)
        return false;
    const std::string_view text(piece.data(), static_cast<size_t>(count));
    if (copy)
        copy->append(text);
    for (size_t sent = 0; sent < text.size();) {
        pollfd writable{to, POLLOUT, 0};
        if (::poll(&writable, 1, patience_ms) <= 0)
            return false;
        const ssize_t now = ::send(to, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (now < 0)
            return false;
        sent += static_cast<size_t>(now);
    }
    return true;
}

} // namespace

Recorder::Recorder(std::uint16_t server_port) {
    std::vector<Listener> listeners = listen_on({"127.0.0.1"}, 0);
    listener_ = std::move(listeners.front().fd);
    port_ = listeners.front().endpoint.port();
    thread_ = std::thread([this, server_port] { pass_on(server_port); });
}

Recorder::~Recorder() {
    if (thread_.joinable())
        thread_.join();
}

std::string Recorder::said_by_client() {
    thread_.join();
    return said_;
}

void Recorder::pass_on(std::uint16_t server_port) {
    pollfd waiting{listener_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, patience_ms) <= 0)
        return;
    const Accepted client = accept_from(listener_.get());
    const RawClient server(server_port);
    std::array<pollfd, 2> sides{pollfd{client.fd.get(), POLLIN, 0}, pollfd{server.fd().get(), POLLIN, 0}};
    while (::poll(sides.data(), sides.size(), patience_ms) > 0) {
        if (sides[0].revents && !pass_piece(sides[0].fd, sides[1].fd, &said_))
            return;
        if (sides[1].revents && !pass_piece(sides[1].fd, sides[0].fd, nullptr))
            return;
    }
}

} // namespace waggle::net

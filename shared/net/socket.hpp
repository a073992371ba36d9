#pragma once

#include "shared/base/fd.hpp"

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace waggle::net {

// An IP address and a TCP port.
struct Endpoint {
    sockaddr_storage storage{};
    socklen_t length = 0;

    int family() const { return storage.ss_family; }
    std::uint16_t port() const;
    std::string address() const;   // "10.83.1.2", "2001:db8::7"; an IPv4-mapped address reads as IPv4
    std::string to_string() const; // "10.83.1.2:9244", "[2001:db8::7]:9244"
    // The unit that limits count: an IPv4 address, or an IPv6 network of 64 bits, because one host may own all of it.
    std::string source() const;
};

// Opens a non-blocking TCP socket that is closed on exec. (Child processes inherit Asio's own sockets.)
Fd open_tcp_socket(int family);

struct Listener {
    Fd fd;
    Endpoint endpoint;
    std::string interface = {}; // empty: all
};

// Listens on each entry: an address ("::" includes IPv4, unless an IPv4 address is listed), or the name of an interface
// (Linux). Addresses need not exist yet (Linux). Throws Error, naming the entry that it cannot listen on.
std::vector<Listener> listen_on(const std::vector<std::string>& entries, std::uint16_t port);

// Whether other sockets of this user that also allow it may be bound to the same port (socket(7), SO_REUSEPORT).
enum class Sharing { none, same_user };
// Opens what is missing in `listeners`. Listeners opened before an error stay there.
void listen_on(const std::vector<std::string>& entries, std::uint16_t port, Sharing sharing,
               std::vector<Listener>& listeners);

// Wraps a socket that another process has opened as a listener on one of the entries. Closes it and returns nullopt if
// it is none.
std::optional<Listener> take_listener(Fd fd, const std::vector<std::string>& entries, std::uint16_t port);

// Takes the port without listening on it, so that no process of another user gets it while listening sockets are
// replaced by others, all of them with Sharing::same_user. Throws SystemError if another process has the port.
Fd hold_port(std::uint16_t port);

struct Accepted {
    Fd fd; // empty: no client is waiting any more, or there was a problem
    Endpoint peer;
    int problem = 0; // errno (too many open files, no memory): the next call would fail in the same way
};

Accepted accept_from(int listening_fd);

} // namespace waggle::net

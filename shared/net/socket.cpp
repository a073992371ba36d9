#include "shared/net/socket.hpp"

#include "shared/base/error.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

namespace waggle::net {
namespace {

sockaddr_in6 as_ipv6(const Endpoint& endpoint) {
    sockaddr_in6 address{};
    std::memcpy(&address, &endpoint.storage, sizeof address);
    return address;
}

bool is_ipv4_within_ipv6(const Endpoint& endpoint) {
    if (endpoint.family() != AF_INET6)
        return false;
    sockaddr_in6 address = as_ipv6(endpoint);
    return IN6_IS_ADDR_V4MAPPED(&address.sin6_addr);
}

void set_option(const Fd& fd, int level, int option, int value, const char* what) {
    if (setsockopt(fd.get(), level, option, &value, sizeof value) != 0)
        throw SystemError(what);
}

// Makes writing to a closed peer an error instead of a signal. (On Linux, Asio requests this in each write.)
void raise_no_sigpipe(const Fd& fd) {
#ifdef SO_NOSIGPIPE
    set_option(fd, SOL_SOCKET, SO_NOSIGPIPE, 1, "setting SO_NOSIGPIPE");
#else
    static_cast<void>(fd);
#endif
}

Endpoint any_address(int family, std::uint16_t port) {
    Endpoint endpoint;
    if (family == AF_INET6) {
        sockaddr_in6 address{};
        address.sin6_family = AF_INET6;
        address.sin6_port = htons(port);
        endpoint.length = sizeof address;
        std::memcpy(&endpoint.storage, &address, sizeof address);
    } else {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        endpoint.length = sizeof address;
        std::memcpy(&endpoint.storage, &address, sizeof address);
    }
    return endpoint;
}

// Returns nullopt if `entry` is not a numeric address.
std::optional<Endpoint> parse_address(const std::string& entry, std::uint16_t port) {
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (entry.empty() || getaddrinfo(entry.c_str(), std::to_string(port).c_str(), &hints, &found) != 0)
        return std::nullopt;
    std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
    Endpoint endpoint;
    endpoint.length = found->ai_addrlen;
    std::memcpy(&endpoint.storage, found->ai_addr, found->ai_addrlen);
    return endpoint;
}

void bind_to_interface(const Fd& fd, const std::string& name) {
#ifdef SO_BINDTODEVICE
    if (setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, name.c_str(), static_cast<socklen_t>(name.size() + 1)) != 0)
        throw SystemError("binding to the interface");
#else
    static_cast<void>(fd);
    throw Error("binding to the interface " + name + " works on Linux only");
#endif
}

struct Wanted {
    Endpoint endpoint;
    std::string interface; // empty: all
    bool ipv6_only = false;
    bool shared = false;
};

Endpoint local_endpoint(const Fd& fd) {
    Endpoint endpoint;
    endpoint.length = sizeof endpoint.storage;
    if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&endpoint.storage), &endpoint.length) != 0)
        throw SystemError("asking for the address");
    return endpoint;
}

Listener open_listener(const Wanted& wanted) {
    Listener listener{open_tcp_socket(wanted.endpoint.family()), {}, wanted.interface};
    const Fd& fd = listener.fd;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "setting SO_REUSEADDR");
    if (wanted.endpoint.family() == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, wanted.ipv6_only ? 1 : 0, "setting IPV6_V6ONLY");
#ifdef IP_FREEBIND
    set_option(fd, IPPROTO_IP, IP_FREEBIND, 1, "setting IP_FREEBIND");
#endif
    if (wanted.shared)
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "setting SO_REUSEPORT");
    if (!wanted.interface.empty())
        bind_to_interface(fd, wanted.interface);
    const auto* address = reinterpret_cast<const sockaddr*>(&wanted.endpoint.storage);
    if (bind(fd.get(), address, wanted.endpoint.length) != 0)
        throw SystemError("binding");
    if (listen(fd.get(), SOMAXCONN) != 0)
        throw SystemError("listening");
    listener.endpoint = local_endpoint(fd);
    return listener;
}

bool is_any_address(const Endpoint& endpoint) {
    if (endpoint.family() != AF_INET6)
        return endpoint.address() == "0.0.0.0";
    const sockaddr_in6 address = as_ipv6(endpoint);
    return IN6_IS_ADDR_UNSPECIFIED(&address.sin6_addr);
}

// Without IPv6 in the kernel, "::" is an IPv4 socket.
bool fits(const Listener& listener, const std::string& entry, std::uint16_t port) {
    if (listener.endpoint.port() != port)
        return false;
    const auto address = parse_address(entry, port);
    if (!address)
        return listener.interface == entry;
    if (!listener.interface.empty())
        return false;
    const bool any_ipv6 = address->family() == AF_INET6 && is_any_address(*address);
    return listener.endpoint.address() == address->address() || (any_ipv6 && is_any_address(listener.endpoint));
}

// Returns "" for all interfaces.
std::string bound_interface(const Fd& fd) {
#ifdef SO_BINDTODEVICE
    std::array<char, IF_NAMESIZE> name{};
    socklen_t length = name.size();
    if (getsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, name.data(), &length) == 0 && length > 1)
        return name.data();
#else
    static_cast<void>(fd);
#endif
    return "";
}

bool is_ipv6_missing(const SystemError& error) {
    return error.error_number() == EAFNOSUPPORT || error.error_number() == EADDRNOTAVAIL;
}

// Also opens "::" if the kernel has no IPv6: it then stands for every IPv4 address.
Listener open_listener_or_ipv4(const Wanted& wanted) {
    const bool any = wanted.endpoint.family() == AF_INET6 && is_any_address(wanted.endpoint);
    try {
        return open_listener(wanted);
    } catch (const SystemError& error) {
        if (!any || wanted.ipv6_only || !is_ipv6_missing(error))
            throw;
    }
    Wanted ipv4 = wanted;
    ipv4.endpoint = any_address(AF_INET, wanted.endpoint.port());
    return open_listener(ipv4);
}

} // namespace

std::uint16_t Endpoint::port() const {
    if (family() == AF_INET6)
        return ntohs(as_ipv6(*this).sin6_port);
    sockaddr_in address{};
    std::memcpy(&address, &storage, sizeof address);
    return ntohs(address.sin_port);
}

std::string Endpoint::address() const {
    std::array<char, NI_MAXHOST> text{};
    const auto* address = reinterpret_cast<const sockaddr*>(&storage);
    if (getnameinfo(address, length, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0)
        return "unknown address";
    constexpr std::string_view prefix = "::ffff:";
    std::string_view view = text.data();
    if (is_ipv4_within_ipv6(*this) && view.starts_with(prefix))
        view.remove_prefix(prefix.size());
    return std::string(view);
}

std::string Endpoint::to_string() const {
    bool brackets = family() == AF_INET6 && !is_ipv4_within_ipv6(*this);
    return brackets ? fmt::format("[{}]:{}", address(), port()) : fmt::format("{}:{}", address(), port());
}

std::string Endpoint::source() const {
    if (family() != AF_INET6 || is_ipv4_within_ipv6(*this))
        return address();
    Endpoint network = *this;
    sockaddr_in6 ipv6 = as_ipv6(*this);
    std::fill(ipv6.sin6_addr.s6_addr + 8, ipv6.sin6_addr.s6_addr + 16, std::uint8_t{0});
    std::memcpy(&network.storage, &ipv6, sizeof ipv6);
    return network.address() + "/64";
}

Fd open_tcp_socket(int family) {
#ifdef SOCK_CLOEXEC
    Fd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
#else
    Fd fd(socket(family, SOCK_STREAM, IPPROTO_TCP));
    if (fd && (fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0))
        throw SystemError("opening a socket");
#endif
    if (!fd)
        throw SystemError("opening a socket");
    raise_no_sigpipe(fd);
    return fd;
}

std::vector<Listener> listen_on(const std::vector<std::string>& entries, std::uint16_t port) {
    std::vector<Listener> listeners;
    listen_on(entries, port, Sharing::none, listeners);
    return listeners;
}

void listen_on(const std::vector<std::string>& entries, std::uint16_t port, Sharing sharing,
               std::vector<Listener>& listeners) {
    const bool ipv4_listed = std::any_of(entries.begin(), entries.end(), [](const std::string& entry) {
        auto address = parse_address(entry, 0);
        return address && address->family() == AF_INET;
    });
    if (entries.empty())
        throw Error("there is no address to listen on");
    for (const std::string& entry : entries) {
        if (port != 0 && std::any_of(listeners.begin(), listeners.end(),
                                     [&](const Listener& listener) { return fits(listener, entry, port); }))
            continue;
        Wanted wanted;
        wanted.shared = sharing == Sharing::same_user;
        if (auto address = parse_address(entry, port)) {
            wanted.endpoint = *address;
            wanted.ipv6_only = ipv4_listed;
        } else if (if_nametoindex(entry.c_str()) != 0) {
            wanted.endpoint = any_address(AF_INET6, port);
            wanted.interface = entry;
        } else {
            throw Error(fmt::format("cannot listen on \"{}\": it is neither an IP address nor an interface that exists",
                                    entry));
        }
        try {
            listeners.push_back(open_listener_or_ipv4(wanted));
        } catch (const Error& error) {
            throw Error(fmt::format("cannot listen on \"{}\", port {}: {}", entry, port, error.what()));
        }
        port = listeners.back().endpoint.port();
    }
}

std::optional<Listener> take_listener(Fd fd, const std::vector<std::string>& entries, std::uint16_t port) {
    int listens = 0;
    socklen_t length = sizeof listens;
    if (getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 || listens == 0)
        return std::nullopt;
    Listener listener{std::move(fd), {}, {}};
    listener.endpoint = local_endpoint(listener.fd);
    const int family = listener.endpoint.family();
    if (family != AF_INET && family != AF_INET6)
        return std::nullopt;
    listener.interface = bound_interface(listener.fd);
    if (std::none_of(entries.begin(), entries.end(),
                     [&](const std::string& entry) { return fits(listener, entry, port); }))
        return std::nullopt;
    return listener;
}

Fd hold_port(std::uint16_t port) {
    const auto bind_any = [port](int family) {
        Fd fd = open_tcp_socket(family);
        // Not SO_REUSEADDR, with which others could bind while this socket does not listen.
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "setting SO_REUSEPORT");
        if (family == AF_INET6)
            set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0, "setting IPV6_V6ONLY");
        const Endpoint any = any_address(family, port);
        if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&any.storage), any.length) != 0)
            throw SystemError("binding");
        return fd;
    };
    try {
        return bind_any(AF_INET6);
    } catch (const SystemError& error) {
        if (!is_ipv6_missing(error))
            throw;
    }
    return bind_any(AF_INET);
}

Accepted accept_from(int listening_fd) {
    Accepted accepted;
    accepted.peer.length = sizeof accepted.peer.storage;
    auto* address = reinterpret_cast<sockaddr*>(&accepted.peer.storage);
#ifdef SOCK_CLOEXEC
    accepted.fd = Fd(accept4(listening_fd, address, &accepted.peer.length, SOCK_CLOEXEC | SOCK_NONBLOCK));
#else
    accepted.fd = Fd(accept(listening_fd, address, &accepted.peer.length));
    if (accepted.fd)
        fcntl(accepted.fd.get(), F_SETFD, FD_CLOEXEC);
#endif
    if (accepted.fd) {
        raise_no_sigpipe(accepted.fd);
        return accepted;
    }
    switch (errno) { // these exhaust the resources of the process or machine; all others concern one connection
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: accepted.problem = errno; break;
    default: break;
    }
    return accepted;
}

} // namespace waggle::net

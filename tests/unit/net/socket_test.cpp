#include "shared/base/error.hpp"
#include "shared/net/socket.hpp"
#include "tests/unit/net/raw_client.hpp"
#include "tests/unit/net/test_node.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>

namespace waggle::net {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string why_not(const std::vector<std::string>& listen, std::uint16_t port = 0) {
    try {
        listen_on(listen, port);
        return "it listens";
    } catch (const Error& error) {
        return error.what();
    }
}

bool has_ipv6() {
    try {
        listen_on({"::1"}, 0);
        return true;
    } catch (const Error&) {
        return false;
    }
}

TEST(Listen, TheAnyAddressAlsoAcceptsIpv4) {
    auto listeners = listen_on({"::"}, 0);
    RawClient ipv4(listeners.front().endpoint.port());
    auto accepted = accept_from(listeners.front().fd.get());
    ASSERT_TRUE(accepted.fd);
    EXPECT_EQ(accepted.peer.address(), "127.0.0.1");
    EXPECT_EQ(accepted.peer.source(), "127.0.0.1");
    EXPECT_THAT(accepted.peer.to_string(), HasSubstr("127.0.0.1:"));
}

TEST(Listen, SeveralAddressesShareThePort) {
    if (!has_ipv6())
        GTEST_SKIP() << "this machine has no IPv6";
    auto listeners = listen_on({"::", "127.0.0.1", "127.0.0.2"}, 0);
    ASSERT_EQ(listeners.size(), 3U);
    EXPECT_EQ(listeners[0].endpoint.port(), listeners[2].endpoint.port());
    EXPECT_EQ(listeners[1].endpoint.to_string(), "127.0.0.1:" + std::to_string(listeners[0].endpoint.port()));
}

#ifdef __linux__
TEST(Listen, AcceptsAnAddressThatTheNodeDoesNotHaveYet) {
    EXPECT_EQ(why_not({"198.51.100.7"}), "it listens");
    if (has_ipv6()) {
        EXPECT_EQ(why_not({"2001:db8::7"}), "it listens");
    }
}

TEST(Listen, AcceptsAnInterface) {
    auto listeners = listen_on({"lo"}, 0);
    RawClient client(listeners.front().endpoint.port());
    EXPECT_TRUE(accept_from(listeners.front().fd.get()).fd);
}
#endif

TEST(Listen, NamesWhatCannotBeListenedOn) {
    EXPECT_THAT(why_not({"127.0.0.1", "no-such-if"}),
                AllOf(HasSubstr("no-such-if"), HasSubstr("neither an IP address")));
    EXPECT_THAT(why_not({""}), HasSubstr("neither an IP address"));
    EXPECT_THAT(why_not({}), HasSubstr("no address"));
    auto taken = listen_on({"127.0.0.1"}, 0);
    EXPECT_THAT(why_not({"127.0.0.1"}, taken.front().endpoint.port()),
                AllOf(HasSubstr("\"127.0.0.1\""), HasSubstr("in use")));
}

TEST(Listen, OpensOnlyMissingSockets) {
    auto listeners = listen_on({"127.0.0.1"}, 0);
    const auto first = listeners.front().fd.get();
    const auto port = listeners.front().endpoint.port();
    listen_on({"127.0.0.1", "127.0.0.2"}, port, Sharing::none, listeners);
    ASSERT_EQ(listeners.size(), 2U);
    EXPECT_EQ(listeners[0].fd.get(), first);
    EXPECT_EQ(listeners[1].endpoint.address(), "127.0.0.2");
    EXPECT_THROW(listen_on({"127.0.0.1", "127.0.0.3", "no-such-if"}, port, Sharing::none, listeners), Error);
    EXPECT_EQ(listeners.size(), 3U); // what could be opened stays open
}

struct TakenRow {
    std::vector<std::string> opened;
    std::vector<std::string> entries;
    bool taken;
};

TEST(TakeListener, TakesASocketThatMatchesAnEntry) {
    for (const auto& row : std::vector<TakenRow>{{{"127.0.0.1"}, {"127.0.0.1"}, true},
                                                 {{"127.0.0.1"}, {"127.0.0.2", "127.0.0.1"}, true},
                                                 {{"127.0.0.1"}, {"127.0.0.2"}, false},
                                                 {{"127.0.0.1"}, {"::"}, false},
                                                 {{"::"}, {"::"}, true},
                                                 {{"::"}, {"lo"}, false},
                                                 {{"0.0.0.0"}, {"::"}, true},
                                                 {{"lo"}, {"lo"}, true},
                                                 {{"lo"}, {"::"}, false},
                                                 {{"lo"}, {"eth0"}, false}}) {
        auto opened = std::move(listen_on(row.opened, 0).front());
        const auto port = opened.endpoint.port();
        const auto listener = take_listener(std::move(opened.fd), row.entries, port);
        EXPECT_EQ(listener.has_value(), row.taken) << row.opened.front() << " for " << row.entries.front();
    }
}

TEST(TakeListener, RefusesAnotherPortAndASocketThatDoesNotListen) {
    auto opened = std::move(listen_on({"127.0.0.1"}, 0).front());
    const auto port = opened.endpoint.port();
    EXPECT_FALSE(take_listener(std::move(opened.fd), {"127.0.0.1"}, static_cast<std::uint16_t>(port ^ 1U)));
    EXPECT_FALSE(take_listener(open_tcp_socket(AF_INET), {"0.0.0.0"}, 0));
}

// A socket bound to 127.0.0.1, or an invalid one if that fails. `shared` makes it like one of waggle-agent.socket.
Fd bound(std::uint16_t port, bool shared) {
    Fd fd = open_tcp_socket(AF_INET);
    const int yes = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (shared)
        setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return {};
    listen(fd.get(), 1);
    return fd;
}

TEST(HoldPort, ReservesThePortWhileASocketIsReplaced) {
    std::uint16_t port = 0;
    Fd old;
    Fd held;
    // The kernel may meanwhile have given the free port to another process; then try another port.
    for (int tries = 0; !held && tries < 20; ++tries) {
        port = listen_on({"127.0.0.1"}, 0).front().endpoint.port();
        old = bound(port, true);
        try {
            if (old)
                held = hold_port(port);
        } catch (const SystemError& error) {
            EXPECT_EQ(error.error_number(), EADDRINUSE);
        }
    }
    ASSERT_TRUE(held);
    old = {};
    EXPECT_FALSE(bound(port, false));
    const Fd next = bound(port, true);
    EXPECT_TRUE(next);
    held = {};
    EXPECT_FALSE(bound(port, false));
}

TEST(HoldPort, FailsIfThePortIsTaken) {
    const auto listeners = listen_on({"127.0.0.1"}, 0);
    EXPECT_THROW(hold_port(listeners.front().endpoint.port()), SystemError);
}

TEST(Listen, SocketsAreNotInheritedByChildren) {
    auto listeners = listen_on({"127.0.0.1"}, 0);
    RawClient client(listeners.front().endpoint.port());
    auto accepted = accept_from(listeners.front().fd.get());
    for (int fd : {listeners.front().fd.get(), accepted.fd.get(), open_tcp_socket(AF_INET).get()})
        EXPECT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

Endpoint ipv6(std::initializer_list<std::uint8_t> bytes) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    std::copy(bytes.begin(), bytes.end(), address.sin6_addr.s6_addr);
    Endpoint endpoint;
    endpoint.length = sizeof address;
    std::memcpy(&endpoint.storage, &address, sizeof address);
    return endpoint;
}

TEST(Endpoint, AnIPv6NetworkOf64BitsCountsAsOneSource) {
    Endpoint one = ipv6({0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8});
    Endpoint same = ipv6({0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 7, 9});
    Endpoint other = ipv6({0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8});
    EXPECT_EQ(one.to_string(), "[2001:db8:0:7:102:304:506:708]:0");
    EXPECT_EQ(one.source(), "2001:db8:0:7::/64");
    EXPECT_EQ(one.source(), same.source());
    EXPECT_NE(one.source(), other.source());
}

// Without free file descriptors, accept fails immediately and repeatedly.
TEST(Accept, DoesNotSpinWithoutFreeFileDescriptors) {
    TestNode node;
    // UBSan opens a pipe to inspect a type that it sees for the first time, which is impossible below. Therefore,
    // throw, log and serve everything once in advance.
    spdlog::warn("no connection can be accepted: {}", std::strerror(EMFILE));
    EXPECT_THROW(throw SystemError("nothing is left", EMFILE), SystemError);
    EXPECT_THROW(throw TimedOut("nothing comes"), TimedOut);
    for (int i = 0; i < 10; ++i) {
        RawClient served(node.server.port(), 2);
        served.send_broken_handshake();
        served.receive_all();
    }
    rlimit old{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    std::vector<Fd> fillers;
    RawClient waiting(node.server.port(), 2);
    waiting.send_broken_handshake();
    waiting.receive_all();
    rlimit low = old;
    const int lowest_free = fcntl(waiting.fd().get(), F_DUPFD_CLOEXEC, 0);
    close(lowest_free);
    low.rlim_cur = static_cast<rlim_t>(lowest_free) + 2;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    try { // take what is left below the limit
        while (true)
            fillers.push_back(open_tcp_socket(AF_INET));
    } catch (const SystemError&) {
        EXPECT_EQ(errno, EMFILE); // clang's sanitizer needs a file descriptor to inspect an object
    }
    rusage start{};
    getrusage(RUSAGE_SELF, &start);
    fillers.pop_back();
    RawClient unheard(node.server.port(), 3); // takes the last one
    unheard.send_broken_handshake();
    timeval limit{0, 500'000};
    setsockopt(unheard.fd().get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    EXPECT_THROW(unheard.receive_all(), TimedOut);
    rusage end{};
    getrusage(RUSAGE_SELF, &end);
    EXPECT_LT((end.ru_utime.tv_sec - start.ru_utime.tv_sec) * 1000000 + end.ru_utime.tv_usec - start.ru_utime.tv_usec +
                  (end.ru_stime.tv_sec - start.ru_stime.tv_sec) * 1000000 + end.ru_stime.tv_usec -
                  start.ru_stime.tv_usec,
              30'000); // microseconds, of half a second
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    fillers.clear();
    timeval patience{20, 0};
    setsockopt(unheard.fd().get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_NE(unheard.receive_all(), ""); // a TLS alert: it is served now
}

} // namespace
} // namespace waggle::net

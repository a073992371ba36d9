#include "shared/net/client.hpp"
#include "shared/net/socket.hpp"
#include "tests/unit/net/raw_client.hpp"
#include "tests/unit/net/test_node.hpp"

#include <gmock/gmock.h>
#include <poll.h>

#include <future>

namespace waggle::net {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;

std::string why_unreachable(const std::string& host, std::uint16_t port, Deadline deadline = soon()) {
    Client client;
    try {
        client.connect(host, port, {}, deadline);
        return "it was reached";
    } catch (const Unreachable& unreachable) {
        return unreachable.what();
    }
}

// A server that is not an agent.
struct OtherServer {
    Listener listener = std::move(listen_on({"127.0.0.1"}, 0).front());
    std::uint16_t port() const { return listener.endpoint.port(); }

    Fd accept() const {
        pollfd wait{listener.fd.get(), POLLIN, 0};
        if (poll(&wait, 1, poll_timeout_ms(soon())) != 1)
            throw TimedOut("nobody connects");
        return std::move(accept_from(listener.fd.get()).fd);
    }
};

TEST(Client, ReportsThatNothingListens) {
    std::uint16_t port = OtherServer().port(); // already closed
    EXPECT_EQ(why_unreachable("127.0.0.1", port), "nothing listens on port " + std::to_string(port) +
                                                      " of 127.0.0.1: is waggle-agent running, and the firewall open?");
    EXPECT_THAT(why_unreachable("localhost", port),
                AllOf(HasSubstr("nothing listens on port"), HasSubstr("of localhost ("), HasSubstr("127.0.0.1")));
}

TEST(Client, ReportsThatANameDoesNotResolve) {
    EXPECT_THAT(why_unreachable("no-such-node.invalid", 9244), HasSubstr("no-such-node.invalid does not resolve"));
}

TEST(Client, ReportsThatNoAnswerCameInTime) {
    OtherServer silent; // the kernel accepts, but no process answers
    EXPECT_THAT(why_unreachable("127.0.0.1", silent.port(), deadline_in(milliseconds(200))),
                HasSubstr("no answer came in time"));
}

TEST(Client, ReportsThatThePeerIsNotAnAgent) {
    OtherServer ssh;
    auto served = std::async(std::launch::async, [&] {
        Fd connection = ssh.accept();
        write_all(connection, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", soon());
        std::array<std::byte, 1024> buffer{};
        read_some(connection, buffer, soon());
    });
    EXPECT_THAT(why_unreachable("127.0.0.1", ssh.port()), AllOf(HasSubstr("is not a waggle agent"), HasSubstr("TLS")));
    served.get();
}

TEST(Client, ReportsThatTheConnectionWasClosedAtOnce) {
    OtherServer closing;
    auto served = std::async(std::launch::async, [&] { closing.accept(); });
    EXPECT_THAT(why_unreachable("127.0.0.1", closing.port()), HasSubstr("closed the connection"));
    served.get();
}

TEST(Client, TriesAllAddressesOfAName) {
    TestNode node; // on 127.0.0.1 only, whereas localhost is also ::1 on most machines
    Client client;
    NodeConnection connection = client.connect("localhost", node.server.port(), {node.host_key.public_key()}, soon());
    EXPECT_THAT(connection.connection->peer(), HasSubstr("127.0.0.1:"));
}

TEST(Client, AbortAllEndsAConnectUnderWay) {
    OtherServer silent;
    Client client;
    auto connecting = std::async(std::launch::async, [&] { client.connect("127.0.0.1", silent.port(), {}, soon()); });
    Fd connection = silent.accept();
    client.abort_all();
    EXPECT_THROW(connecting.get(), ConnectionLost);
}

TEST(Client, ServesManyConnectionsAtOnce) {
    ServerOptions options = loopback();
    options.max_connections_per_address = options.max_sessions = 16;
    TestNode node(echo, options);
    Client client;
    std::vector<std::future<bool>> results;
    for (int i = 0; i < 16; ++i)
        results.push_back(std::async(std::launch::async, [&] {
            NodeConnection session = node.open_session(client);
            session.connection->send("together", soon());
            bool echoed = session.connection->receive(soon()) == "together";
            session.connection->finish(soon());
            return echoed;
        }));
    for (auto& result : results)
        EXPECT_TRUE(result.get());
}

} // namespace
} // namespace waggle::net

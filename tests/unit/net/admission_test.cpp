#include "tests/unit/net/raw_client.hpp"
#include "tests/unit/net/recorder.hpp"
#include "tests/unit/net/test_node.hpp"

#include <gmock/gmock.h>
#include <poll.h>

#include <atomic>
#include <future>
#include <list>

namespace waggle::net {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Admission, ARefusedUnlistedOperatorLearnsNothingElse) {
    TestNode node;
    Client client;
    NodeConnection connection = node.connect(client);
    ssh::PrivateKey stranger = ssh::PrivateKey::generate();
    protocol::Hello hello = node.hello(connection);
    hello.hive = "other"; // the refusal does not reveal that this is wrong
    connection.connection->send(protocol::sign_hello(hello, stranger), soon());
    protocol::Refused refused = receive_refusal(*connection.connection);
    EXPECT_EQ(refused.code, "unknown-operator");
    EXPECT_THAT(refused.message,
                AllOf(HasSubstr(stranger.public_key().fingerprint()), Not(HasSubstr("demo")), Not(HasSubstr("alpha"))));
}

struct WrongHello {
    const char* code;
    std::function<void(protocol::Hello&)> change;
};

TEST(Admission, AHelloThatIsNotForThisSessionIsRefused) {
    const WrongHello cases[] = {
        {"other-node", [](protocol::Hello& hello) { hello.node = "beta"; }},
        {"other-hive", [](protocol::Hello& hello) { hello.hive = "other"; }},
        {"other-node", [](protocol::Hello& hello) { hello.node_key = ssh::PrivateKey::generate().public_key(); }},
        {"other-session", [](protocol::Hello& hello) { hello.nonce[0] ^= 1; }},
        {"other-session", [](protocol::Hello& hello) { hello.exporter[31] ^= 1; }},
        {"version", [](protocol::Hello& hello) { hello.versions = {1000}; }},
    };
    TestNode node;
    Client client;
    for (const WrongHello& wrong : cases) {
        NodeConnection connection = node.connect(client);
        protocol::Hello hello = node.hello(connection);
        wrong.change(hello);
        connection.connection->send(protocol::sign_hello(hello, node.operator_key), soon());
        EXPECT_EQ(receive_refusal(*connection.connection).code, wrong.code);
    }
}

// A man in the middle has a TLS session with each side and relays the operator's proof.
TEST(Admission, ARelayedProofIsRefused) {
    TestNode node;
    Client client;
    NodeConnection with_operator = node.connect(client);
    NodeConnection with_node = node.connect(client);
    protocol::Hello of_operator = node.hello(with_operator);
    of_operator.nonce = node.hello(with_node).nonce; // the challenge can be passed on, the exporter cannot
    with_node.connection->send(protocol::sign_hello(of_operator, node.operator_key), soon());
    EXPECT_EQ(receive_refusal(*with_node.connection).code, "other-session");
}

TEST(Admission, AMalformedHelloIsRefused) {
    TestNode node;
    Client client;
    NodeConnection connection = node.connect(client);
    connection.connection->receive(soon());
    connection.connection->send("{}", soon());
    EXPECT_EQ(receive_refusal(*connection.connection).code, "bad-hello");
}

TEST(Admission, AHelloOfMoreThan4KiBIsNotRead) {
    TestNode node;
    Client client;
    NodeConnection connection = node.connect(client);
    connection.connection->receive(soon());
    connection.connection->send(std::string(protocol::max_hello_bytes + 1, ' '), soon());
    EXPECT_THROW(connection.connection->receive(soon()), ConnectionLost);
}

TEST(Admission, AClientComparesTheHostKeyBeforeItSendsAnything) {
    TestNode node;
    Client client;
    ssh::PublicKey pinned = ssh::PrivateKey::generate().public_key();
    try {
        client.connect("127.0.0.1", node.server.port(), {pinned}, soon());
        FAIL() << "the key is not the pinned one";
    } catch (const WrongHostKey& wrong) {
        EXPECT_EQ(wrong.observed(), node.host_key.public_key());
        EXPECT_THAT(wrong.what(),
                    AllOf(HasSubstr(node.host_key.public_key().fingerprint()), HasSubstr(pinned.fingerprint())));
    }
}

TEST(Admission, AcceptsAnyPinnedKeyAndRefusesWithoutPins) {
    TestNode node;
    Client client;
    ssh::PublicKey other = ssh::PrivateKey::generate().public_key();
    ssh::PublicKey own = node.host_key.public_key();
    EXPECT_EQ(client.connect("127.0.0.1", node.server.port(), {other, own}, soon()).node_key, own);
    EXPECT_THROW(client.connect("127.0.0.1", node.server.port(), {}, soon()), WrongHostKey);
}

TEST(Admission, ConnectionsWithoutAValidHelloAreDroppedInTime) {
    ServerOptions options = loopback();
    options.hello_timeout = milliseconds(300);
    TestNode node(echo, options);

    RawClient silent(node.server.port());
    EXPECT_EQ(silent.receive_all(), "");
    RawClient http(node.server.port());
    http.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(http.receive_all().find("HTTP"), std::string::npos);
    RawClient garbage(node.server.port());
    garbage.send(std::string(100000, '\x16'));
    garbage.receive_all();
    RawTlsClient no_upgrade(node.server.port());
    EXPECT_EQ(no_upgrade.read_until("never"), "");
    RawTlsClient no_hello(node.server.port());
    EXPECT_THAT(no_hello.read_challenge(), HasSubstr("challenge"));
    no_hello.read_until("never");

    Client client;
    NodeConnection session = node.open_session(client);
    session.connection->send("in", soon());
    EXPECT_EQ(session.connection->receive(soon()), "in");
    EXPECT_THROW(session.connection->receive(deadline_in(milliseconds(500))), TimedOut) << "in a session no such limit";
}

TEST(Admission, OneAddressCannotKeepAnOperatorOut) {
    ServerOptions options = loopback();
    options.max_connections_per_address = 3;
    options.hello_timeout = std::chrono::minutes(1);
    TestNode node(echo, options);
    std::list<RawClient> half_open;
    for (int i = 0; i < 3; ++i)
        half_open.emplace_back(node.server.port(), std::uint8_t{2});
    RawClient one_more(node.server.port(), 2);
    EXPECT_EQ(half_open.front().receive_all(), "") << "the oldest has made room, long before its time";
    one_more.send_broken_handshake();
    EXPECT_NE(one_more.receive_all(), "") << "a TLS alert: the newcomer is listened to";

    Client client;
    NodeConnection session = node.open_session(client);
    session.connection->send("in", soon());
    EXPECT_EQ(session.connection->receive(soon()), "in");
}

// An attacker in the operator's network, or behind the same `ssh -W`, opens a new connection for each that is closed.
TEST(Admission, SilentConnectionsFromItsOwnAddressDoNotKeepAnOperatorOut) {
    ServerOptions options = loopback();
    options.hello_timeout = std::chrono::minutes(1);
    TestNode node(echo, options);
    Client client;
    std::list<RawClient> silent;
    for (int round = 0; round < 5; ++round) {
        for (size_t i = 0; i < 2 * options.max_connections_per_address; ++i)
            silent.emplace_back(node.server.port());
        NodeConnection session = node.open_session(client);
        session.connection->send("in", soon());
        EXPECT_EQ(session.connection->receive(soon()), "in");
    }
}

TEST(Admission, AHandshakeIsNotDisplacedBeforeItsMinimumLifetime) {
    ServerOptions options = loopback();
    options.max_connections_per_address = 1;
    options.least_lifetime = std::chrono::minutes(1);
    options.hello_timeout = std::chrono::minutes(1);
    TestNode node(echo, options);
    Client client;
    NodeConnection session = node.connect(client);
    std::list<RawClient> silent;
    for (int i = 0; i < 20; ++i)
        silent.emplace_back(node.server.port());
    RawTlsClient last(node.server.port());
    EXPECT_THAT(last.read_challenge(), HasSubstr("challenge")) << "the node has seen them all";
    session.connection->send(protocol::sign_hello(node.hello(session), node.operator_key), soon());
    session.connection->send("in", soon());
    EXPECT_EQ(session.connection->receive(soon()), "in");
}

TEST(Admission, SessionsDoNotCountTowardsTheirAddressLimit) {
    ServerOptions options = loopback();
    options.max_connections_per_address = 2;
    TestNode node(echo, options);
    Client client;
    std::vector<NodeConnection> sessions;
    for (int i = 0; i < 5; ++i) {
        sessions.push_back(node.open_session(client));
        sessions.back().connection->send("in", soon());
        EXPECT_EQ(sessions.back().connection->receive(soon()), "in");
    }
    for (NodeConnection& session : sessions) {
        session.connection->send("still in", soon());
        EXPECT_EQ(session.connection->receive(soon()), "still in");
    }
}

TEST(Admission, TotalConnectionsAreLimited) {
    ServerOptions options = loopback();
    options.max_connections = 3;
    options.hello_timeout = std::chrono::minutes(1);
    TestNode node(echo, options);
    std::list<RawClient> half_open;
    for (std::uint8_t i = 0; i < 3; ++i)
        half_open.emplace_back(node.server.port(), static_cast<std::uint8_t>(2 + i));
    RawClient fourth(node.server.port(), 9);
    EXPECT_EQ(half_open.front().receive_all(), ""); // the oldest was displaced, long before its timeout
    std::vector<pollfd> others;
    for (auto raw = std::next(half_open.begin()); raw != half_open.end(); ++raw)
        others.push_back({raw->fd().get(), POLLIN, 0});
    EXPECT_EQ(::poll(others.data(), others.size(), 0), 0) << "the others stay";
}

TEST(Admission, SessionsAreNotDisplaced) {
    ServerOptions options = loopback();
    options.max_connections = 2;
    TestNode node(echo, options);
    Client client;
    std::vector<NodeConnection> sessions;
    for (int i = 0; i < 2; ++i) {
        sessions.push_back(node.open_session(client));
        sessions.back().connection->send("in", soon());
        EXPECT_EQ(sessions.back().connection->receive(soon()), "in");
    }
    EXPECT_THROW(node.connect(client), TurnedAway);
    sessions.front().connection->send("still in", soon());
    EXPECT_EQ(sessions.front().connection->receive(soon()), "still in");
}

TEST(Admission, SilentConnectionsFromManyAddressesDoNotKeepAnOperatorOut) {
    ServerOptions options = loopback();
    options.hello_timeout = std::chrono::minutes(1);
    TestNode node(echo, options);
    std::list<RawClient> silent;
    for (int i = 0; i < 500; ++i)
        silent.emplace_back(node.server.port(), static_cast<std::uint8_t>(2 + i % 250));
    Client client;
    NodeConnection session = node.open_session(client);
    session.connection->send("in", soon());
    EXPECT_EQ(session.connection->receive(soon()), "in");
}

// An attacker has recorded a whole session and sends the same bytes again.
TEST(Admission, AReplayedSessionIsNotAdmitted) {
    std::atomic<int> sessions = 0;
    TestNode node([&](OperatorSession session) {
        ++sessions;
        echo(std::move(session));
    });
    Recorder recorder(node.server.port());
    {
        Client client;
        NodeConnection session = client.connect("127.0.0.1", recorder.port(), {node.host_key.public_key()}, soon());
        session.connection->send(protocol::sign_hello(node.hello(session), node.operator_key), soon());
        session.connection->send("dance", soon());
        EXPECT_EQ(session.connection->receive(soon()), "dance");
        session.connection->finish(soon());
    }
    const std::string recorded = recorder.said_by_client();
    EXPECT_GT(recorded.size(), 500u);
    RawClient again(node.server.port());
    again.send(recorded);
    EXPECT_EQ(again.receive_all().find("dance"), std::string::npos);
    EXPECT_EQ(sessions, 1);
}

TEST(Admission, ASessionAboveTheLimitIsRefusedAsBusy) {
    ServerOptions options = loopback();
    options.max_sessions = 2;
    TestNode node(echo, options);
    Client client;
    std::vector<NodeConnection> sessions;
    for (int i = 0; i < 2; ++i) {
        sessions.push_back(node.open_session(client));
        sessions.back().connection->send("in", soon());
        sessions.back().connection->receive(soon());
    }
    NodeConnection third = node.open_session(client);
    protocol::Refused refused = receive_refusal(*third.connection);
    EXPECT_EQ(refused.code, "busy");
    EXPECT_THAT(refused.message, HasSubstr("2 sessions"));

    sessions.pop_back();
    EXPECT_TRUE(eventually([&] {
        NodeConnection next = node.open_session(client);
        next.connection->send("in", soon());
        return next.connection->receive(soon()) == "in";
    }));
}

} // namespace
} // namespace waggle::net

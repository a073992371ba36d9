#include "tests/unit/net/test_node.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <future>

namespace waggle::net {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

TEST(Session, CarriesMessagesBothWaysInOrder) {
    TestNode node;
    Client client;
    NodeConnection session = node.open_session(client);
    for (int i = 0; i < 100; ++i)
        session.connection->send("message " + std::to_string(i), soon());
    for (int i = 0; i < 100; ++i)
        EXPECT_EQ(session.connection->receive(soon()), "message " + std::to_string(i));
}

TEST(Session, CarriesEmptyAndMaximumSizeMessages) {
    TestNode node;
    Client client;
    NodeConnection session = node.open_session(client);
    std::string greatest(protocol::max_message_bytes, 'x');
    session.connection->send("", soon());
    session.connection->send(greatest, soon());
    EXPECT_EQ(session.connection->receive(soon()), "");
    EXPECT_EQ(session.connection->receive(soon()), greatest);
}

TEST(Session, RefusesToSendAMessageThatIsTooLong) {
    TestNode node;
    Client client;
    NodeConnection session = node.open_session(client);
    EXPECT_THROW(session.connection->send(std::string(protocol::max_message_bytes + 1, 'x'), soon()), Error);
    session.connection->send("short", soon());
    EXPECT_EQ(session.connection->receive(soon()), "short");
}

TEST(Session, PassesOperatorAndTimeToTheHandler) {
    std::promise<OperatorSession> handed;
    TestNode node([&](OperatorSession session) { handed.set_value(std::move(session)); });
    Client client;
    NodeConnection connection = node.connect(client);
    protocol::Hello hello = node.hello(connection);
    connection.connection->send(protocol::sign_hello(hello, node.operator_key), soon());
    OperatorSession session = get_soon(handed.get_future());
    EXPECT_EQ(session.operator_key, node.operator_key.public_key());
    EXPECT_EQ(session.hello_time, hello.time);
    EXPECT_EQ(session.version, 1);
    EXPECT_THAT(session.connection->peer(), HasSubstr("127.0.0.1:"));
}

TEST(Session, RemainsUsableAfterAReceiveTimeout) {
    TestNode node;
    Client client;
    NodeConnection session = node.open_session(client);
    EXPECT_THROW(session.connection->receive(deadline_in(milliseconds(20))), TimedOut);
    session.connection->send("still there?", soon());
    EXPECT_EQ(session.connection->receive(soon()), "still there?");
}

TEST(Session, FinishSendsQueuedMessagesAndEndsOrderly) {
    std::promise<size_t> received;
    TestNode node([&](OperatorSession session) {
        size_t count = 0;
        while (session.connection->receive(soon()))
            ++count;
        received.set_value(count);
    });
    Client client;
    NodeConnection session = node.open_session(client);
    for (int i = 0; i < 50; ++i)
        session.connection->send(std::string(100000, 'x'), soon());
    session.connection->finish(soon());
    EXPECT_EQ(get_soon(received.get_future()), 50U);
    EXPECT_THROW(session.connection->send("more", soon()), ConnectionLost);
}

TEST(Session, FinishGivesUpAtItsDeadline) {
    Gate end;
    TestNode node([&](OperatorSession) { end.wait(); });
    Client client;
    NodeConnection session = node.open_session(client);
    EXPECT_THROW(while (true) session.connection->send(std::string(1 << 18, 'x'), deadline_in(milliseconds(100))),
                 TimedOut);
    auto begin = std::chrono::steady_clock::now();
    session.connection->finish(deadline_in(milliseconds(100)));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
    end.open();
}

TEST(Session, EndsForThePeerWhenTheHandlerReturns) {
    TestNode node([](OperatorSession session) { session.connection->receive(soon()); });
    Client client;
    NodeConnection session = node.open_session(client);
    session.connection->send("go", soon());
    EXPECT_THROW(session.connection->receive(soon()), ConnectionLost);
}

TEST(Session, AHandlerThatThrowsEndsItsSessionOnly) {
    TestNode node([](OperatorSession session) {
        auto message = session.connection->receive(soon());
        if (message == "throw")
            throw Error("as a test wants it");
        session.connection->send("fine", soon());
        session.connection->finish(soon());
    });
    Client client;
    NodeConnection bad = node.open_session(client);
    NodeConnection good = node.open_session(client);
    bad.connection->send("throw", soon());
    EXPECT_THROW(bad.connection->receive(soon()), ConnectionLost);
    good.connection->send("", soon());
    EXPECT_EQ(good.connection->receive(soon()), "fine");
}

TEST(Session, AbortWakesBlockedCalls) {
    Gate end;
    TestNode node([&](OperatorSession) { end.wait(); });
    Client client;
    NodeConnection session = node.open_session(client);
    Connection& connection = *session.connection;
    auto receiver = std::async(std::launch::async, [&] { connection.receive(soon()); });
    auto sender = std::async(std::launch::async, [&] {
        while (true)
            connection.send(std::string(1 << 18, 'x'), soon());
    });
    EXPECT_EQ(receiver.wait_for(milliseconds(50)), std::future_status::timeout);
    connection.abort();
    EXPECT_THROW(receiver.get(), ConnectionLost);
    EXPECT_THROW(sender.get(), ConnectionLost);
    end.open();
}

TEST(Session, AbortAllWakesBlockedCallsAndAllowsNoNewConnection) {
    TestNode node;
    Client client;
    NodeConnection session = node.open_session(client);
    auto receiver = std::async(std::launch::async, [&] { session.connection->receive(soon()); });
    EXPECT_EQ(receiver.wait_for(milliseconds(20)), std::future_status::timeout);
    client.abort_all();
    EXPECT_THROW(receiver.get(), ConnectionLost);
    EXPECT_THROW(node.connect(client), ConnectionLost);
}

TEST(Session, IsLostWhenItsClientIsDestroyed) {
    TestNode node;
    auto client = std::make_unique<Client>();
    NodeConnection session = node.open_session(*client);
    client.reset();
    EXPECT_THROW(session.connection->send("", soon()), ConnectionLost);
}

TEST(Session, DestroyingTheServerEndsSessionsPromptly) {
    Client client;
    std::vector<NodeConnection> sessions;
    auto begin = std::chrono::steady_clock::now();
    {
        TestNode node;
        for (int i = 0; i < 4; ++i)
            sessions.push_back(node.open_session(client));
        for (NodeConnection& session : sessions) {
            session.connection->send("", soon());
            session.connection->receive(soon());
        }
        begin = std::chrono::steady_clock::now();
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
    for (NodeConnection& session : sessions)
        EXPECT_THROW(session.connection->receive(soon()), ConnectionLost);
}

// The handler does not read: the client must block, and the time limit for dead peers must not apply.
TEST(Session, ASlowReaderHoldsTheSenderBackAndLosesNothing) {
    ServerOptions options = loopback();
    options.keep_alive = {milliseconds(50), milliseconds(2000), std::chrono::seconds(60)};
    Gate read;
    TestNode node(
        [&](OperatorSession session) {
            read.wait();
            echo(std::move(session));
        },
        options);
    Client client(options.keep_alive);
    NodeConnection session = node.open_session(client);

    size_t sent = 0;
    auto piece = [](size_t number) { return std::string(1 << 18, static_cast<char>('a' + number % 26)); };
    auto fill = [&] {
        for (;; ++sent)
            session.connection->send(piece(sent), deadline_in(milliseconds(3000))); // longer than the silence
    };
    EXPECT_THROW(fill(), TimedOut);
    EXPECT_LT(sent, 100U); // 25 MiB: two mailboxes, and what the kernel keeps for a socket on both sides

    read.open();
    auto reader = std::async(std::launch::async, [&] {
        for (size_t i = 0; i < sent; ++i)
            if (session.connection->receive(soon()) != piece(i))
                return false;
        return true;
    });
    EXPECT_TRUE(get_soon(std::move(reader)));
}

TEST(Session, ASilentPeerIsLost) {
    ServerOptions options = loopback();
    options.keep_alive = {milliseconds(20), milliseconds(200), std::chrono::seconds(60)};
    std::promise<std::string> end;
    TestNode node(
        [&](OperatorSession session) {
            try {
                session.connection->receive(soon());
            } catch (const ConnectionLost& lost) {
                end.set_value(lost.what());
            }
        },
        options);
    Client client(KeepAlive{std::chrono::hours(1), std::chrono::hours(1), std::chrono::hours(1)});
    NodeConnection session = node.open_session(client);
    EXPECT_THAT(get_soon(end.get_future()), HasSubstr("no sign of life"));
}

TEST(Session, AnIdlePeerThatAnswersIsNotLost) {
    ServerOptions options = loopback();
    options.keep_alive = {milliseconds(20), milliseconds(400), std::chrono::seconds(60)};
    TestNode node(echo, options);
    Client client(options.keep_alive);
    NodeConnection session = node.open_session(client);
    EXPECT_THROW(session.connection->receive(deadline_in(milliseconds(1000))), TimedOut);
    session.connection->send("alive", soon());
    EXPECT_EQ(session.connection->receive(soon()), "alive");
}

size_t open_files() {
    std::filesystem::directory_iterator files("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(files), end(files)));
}

TEST(Session, TwoHundredSessionsLeaveNoFileOpen) {
    if (!std::filesystem::exists("/proc/self/fd"))
        GTEST_SKIP() << "there is no /proc here to count open files in";
    TestNode node;
    Client client;
    node.open_session(client).connection->finish(soon());
    size_t before = open_files();
    for (int i = 0; i < 200; ++i) {
        NodeConnection session = node.open_session(client);
        session.connection->send("hello", soon());
        EXPECT_EQ(session.connection->receive(soon()), "hello");
        if (i % 2 == 0)
            session.connection->finish(soon());
    }
    EXPECT_TRUE(eventually([&] { return open_files() <= before; })) << open_files() << " > " << before;
}

} // namespace
} // namespace waggle::net

#include "trigger/deploy/session.hpp"

#include <poll.h>

#include <variant>

namespace waggle::trigger {

using protocol::Facts;
using protocol::Hello;
using protocol::Refused;

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto connect_time = std::chrono::seconds(10);
constexpr auto hello_time = std::chrono::seconds(10);  // the agent gives us 5 for all of it
constexpr auto restart_time = std::chrono::seconds(2); // in which an agent that restarts itself is back
constexpr auto restart_pause = std::chrono::milliseconds(100);

std::string receive_message(net::Connection& connection, Deadline deadline) {
    std::optional<std::string> message = connection.receive(deadline);
    if (!message)
        throw net::ConnectionLost("the agent closed the connection");
    return std::move(*message);
}

net::NodeConnection connect_patiently(const Connect& connect, const Interrupt& interrupt) {
    const auto last_try = Clock::now() + restart_time;
    for (;;) {
        interrupt.check();
        try {
            return connect(deadline_in(connect_time));
        } catch (const net::Unreachable&) {
            interrupt.check();
            if (Clock::now() >= last_try)
                throw;
        }
        pause(restart_pause, interrupt);
    }
}

Facts say_hello(const net::NodeConnection& link, const NodeAddress& address, const ssh::PrivateKey& identity) {
    const Deadline deadline = deadline_in(hello_time);
    Hello hello{.exporter = link.exporter,
                .nonce = protocol::parse_challenge(receive_message(*link.connection, deadline)),
                .hive = address.hive,
                .node = address.node,
                .node_key = link.node_key,
                .versions = {protocol::protocol_versions.begin(), protocol::protocol_versions.end()},
                .time = now()};
    link.connection->send(protocol::sign_hello(hello, identity), deadline);
    const std::string answer = receive_message(*link.connection, deadline);
    const protocol::Incoming incoming = protocol::decode(answer);
    if (const auto* message = std::get_if<protocol::Message>(&incoming)) {
        if (const auto* facts = std::get_if<Facts>(message))
            return *facts;
        if (const auto* refused = std::get_if<Refused>(message))
            throw RefusedByNode(*refused);
    }
    throw protocol::BadDocument("the agent answered our proof of identity with something else than facts");
}

} // namespace

void pause(std::chrono::milliseconds duration, const Interrupt& interrupt) {
    pollfd entry{.fd = interrupt.fd(), .events = POLLIN, .revents = 0};
    ::poll(&entry, 1, static_cast<int>(duration.count()));
    interrupt.check();
}

Session open_session(const Connect& connect, const NodeAddress& address, const ssh::PrivateKey& identity,
                     const Interrupt& interrupt) {
    net::NodeConnection link = connect_patiently(connect, interrupt);
    Facts facts = say_hello(link, address, identity);
    return {std::move(link), std::move(facts)};
}

} // namespace waggle::trigger

#include "trigger/deploy/session.hpp"

#include <poll.h>

#include <algorithm>
#include <optional>
#include <utility>
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
constexpr auto flood_time = std::chrono::seconds(15);  // in which one gets through to a node that is flooded
constexpr auto first_pause = std::chrono::milliseconds(100);
constexpr auto longest_pause = std::chrono::milliseconds(1600);

std::string receive_message(net::Connection& connection, Deadline deadline) {
    std::optional<std::string> message = connection.receive(deadline);
    if (!message)
        throw net::ConnectionLost("the agent closed the connection");
    return std::move(*message);
}

Facts say_hello(const net::NodeConnection& link, const NodeAddress& address, const ssh::Signer& identity) {
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

void try_for_a_while(const Interrupt& interrupt, const std::function<void()>& attempt) {
    const auto began = Clock::now();
    for (auto wait = first_pause;; wait = std::min(2 * wait, longest_pause)) {
        interrupt.check();
        try {
            return attempt();
        } catch (const net::TurnedAway&) {
            if (Clock::now() >= began + flood_time)
                throw;
        } catch (const net::ConnectionLost&) { // it has made room for another connection before our proof was there
            if (Clock::now() >= began + flood_time)
                throw;
        } catch (const net::Unreachable&) {
            if (Clock::now() >= began + restart_time)
                throw;
        }
        pause(wait, interrupt);
    }
}

Session open_session(const Connect& connect, const NodeAddress& address, const ssh::Signer& identity,
                     const Interrupt& interrupt) {
    std::optional<Session> session;
    try_for_a_while(interrupt, [&] {
        net::NodeConnection link = connect(deadline_in(connect_time));
        Facts facts = say_hello(link, address, identity);
        session = {std::move(link), std::move(facts)};
    });
    return std::move(*session);
}

} // namespace waggle::trigger

#include "trigger/connect/session.hpp"

#include <fmt/format.h>

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
constexpr auto hello_time = std::chrono::seconds(10);  // the agent allows 5 s for all of it
constexpr auto restart_time = std::chrono::seconds(2); // after which a restarting agent is back
constexpr auto flood_time = std::chrono::seconds(30);  // enough to get through to a flooded node
constexpr int least_attempts = 4;                      // even if an attempt takes long, as on a loaded machine
constexpr auto close_time = std::chrono::seconds(1);   // nothing depends on how the connection ends
constexpr auto first_pause = std::chrono::milliseconds(100);
constexpr auto longest_pause = std::chrono::milliseconds(800);

std::string receive_message(net::Connection& connection, Deadline deadline) {
    std::optional<std::string> message = connection.receive(deadline);
    if (!message)
        throw net::ConnectionLost("the agent closed the connection");
    return std::move(*message);
}

Facts say_hello(const net::NodeConnection& link, const AgentName& name, const ssh::Signer& identity) {
    const Deadline deadline = deadline_in(hello_time);
    Hello hello{.exporter = link.exporter,
                .nonce = protocol::parse_challenge(receive_message(*link.connection, deadline)),
                .hive = name.hive,
                .node = name.node,
                .node_key = link.node_key,
                .versions = {protocol::protocol_versions.begin(), protocol::protocol_versions.end()},
                .time = now()};
    link.connection->send(protocol::sign_hello(hello, identity), deadline);
    const std::string answer = receive_message(*link.connection, deadline);
    const protocol::Incoming incoming = protocol::decode(answer);
    if (const auto* message = std::get_if<protocol::Message>(&incoming)) {
        if (const auto* facts = std::get_if<Facts>(message)) {
            if (std::ranges::find(hello.versions, facts->version) == hello.versions.end())
                throw protocol::BadDocument(fmt::format(
                    "the agent chose version {} of the protocol, which it was not offered", facts->version));
            return *facts;
        }
        if (const auto* refused = std::get_if<Refused>(message))
            throw RefusedByNode(*refused);
    }
    throw protocol::BadDocument("the agent did not answer our proof of identity with its facts");
}

} // namespace

void Session::close() const noexcept {
    link.connection->finish(deadline_in(close_time));
}

void try_for_a_while(const Interrupt& interrupt, const std::function<void()>& attempt) {
    const auto began = Clock::now();
    int attempts = 0;
    const auto is_over = [&](std::chrono::seconds time) {
        return attempts >= least_attempts && Clock::now() >= began + time;
    };
    for (auto wait = first_pause;; wait = std::min(2 * wait, longest_pause)) {
        interrupt.check();
        ++attempts;
        try {
            return attempt();
        } catch (const net::TurnedAway&) {
            if (is_over(flood_time))
                throw;
        } catch (const net::ConnectionLost&) { // it closed ours to make room before our proof had arrived
            if (is_over(flood_time))
                throw;
        } catch (const net::Unreachable&) {
            if (Clock::now() >= began + restart_time)
                throw;
        }
        interrupt.wait(wait);
    }
}

namespace {

Session open_session_as(const AgentName& name, const Connect& connect, const ssh::Signer& identity,
                        const Interrupt& interrupt) {
    std::optional<Session> session;
    try_for_a_while(interrupt, [&] {
        net::NodeConnection link = connect(deadline_in(connect_time));
        Facts facts = say_hello(link, name, identity);
        session = {std::move(link), std::move(facts), name};
    });
    return std::move(*session);
}

bool is_of_another_name(const RefusedByNode& refused) {
    return refused.code() == "other-hive" || refused.code() == "other-node";
}

// Returns the agent's refusal of the name, and how to continue.
Refused explain_name(const RefusedByNode& refused, const NodeAddress& address) {
    if (refused.code() == "other-hive")
        return {refused.code(),
                fmt::format("{} (set here by meta.name or services.waggle-agent.hive). If the hive was renamed, "
                            "add --rename-hive OLD-HIVE",
                            refused.what())};
    return {refused.code(), fmt::format("{} (set here by services.waggle-agent.node). If the node was renamed, add "
                                        "--on {} --rename OLD-NODE",
                                        refused.what(), address.name)};
}

} // namespace

Session open_session(const Connect& connect, const NodeAddress& address, const ssh::Signer& identity,
                     const Interrupt& interrupt) {
    std::vector<AgentName> names{{address.hive, address.node}};
    names.insert(names.end(), address.former_names.begin(), address.former_names.end());
    std::optional<Refused> refusal;
    for (const AgentName& name : names) {
        try {
            return open_session_as(name, connect, identity, interrupt);
        } catch (const RefusedByNode& refused) {
            if (!is_of_another_name(refused))
                throw;
            if (!refusal)
                refusal = explain_name(refused, address);
        }
    }
    throw RefusedByNode(*refusal);
}

} // namespace waggle::trigger

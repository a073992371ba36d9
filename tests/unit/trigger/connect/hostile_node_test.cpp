// What a hostile node can do to a connected trigger, over real sockets.
#include "shared/net/server.hpp"
#include "tests/unit/net/hostile_node.hpp"
#include "tests/unit/trigger/samples.hpp"
#include "trigger/connect/session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

namespace waggle::trigger {
namespace {

using net::HostileNode;

Deadline soon() {
    return deadline_in(std::chrono::seconds(20));
}

// The operator, whose pin is the hostile node's own key.
class Operator {
public:
    void talk_to(const HostileNode& node, const ssh::PublicKey& its_key) {
        const auto connect = [&](Deadline deadline) {
            return client_.connect("127.0.0.1", node.port(), {its_key}, deadline);
        };
        open_session(connect, sample_node("alpha"), key, interrupt_);
    }

    ssh::PrivateKey key = ssh::PrivateKey::generate();

private:
    net::Client client_;
    Interrupt interrupt_;
};

// Another node of the hive, which the hostile one would like to deploy to.
class Victim {
public:
    Victim(const std::string& name, const ssh::PrivateKey& host_key, const ssh::PublicKey& operator_key)
        : server_(options(), host_key, {"demo", name, [operator_key] { return std::vector{operator_key}; }},
                  [this](net::OperatorSession) { ++sessions; }) {}

    std::uint16_t port() const { return server_.port(); }
    std::atomic<int> sessions = 0;

private:
    static net::ServerOptions options() {
        net::ServerOptions options;
        options.listen = {"127.0.0.1"};
        options.port = 0;
        return options;
    }
    net::Server server_;
};

struct Relay {
    const char* victim;
    bool same_key; // both were made from one image
};

// The proof also names the node and its key, but only the TLS session in it cannot occur at another node.
TEST(HostileNode, CannotRelayTheOperatorsProofToAnotherNode) {
    for (const auto& [name, same_key] : {Relay{"beta", false}, Relay{"alpha", false}, Relay{"alpha", true}}) {
        Operator anna;
        const auto own_key = ssh::PrivateKey::generate();
        const auto other_key = ssh::PrivateKey::generate();
        const auto& victim_key = same_key ? own_key : other_key;
        Victim victim(name, victim_key, anna.key.public_key());
        net::Client client;
        const HostileNode hostile(own_key, [&](HostileNode::Guest& guest) {
            const auto link = client.connect("127.0.0.1", victim.port(), {victim_key.public_key()}, soon());
            guest.say(link.connection->receive(soon()).value()); // the victim's challenge
            link.connection->send(guest.hear(), soon());         // the operator's proof
            guest.say(link.connection->receive(soon()).value()); // the victim's answer
        });
        try {
            anna.talk_to(hostile, own_key.public_key());
            ADD_FAILURE() << "admitted as " << name;
        } catch (const RefusedByNode& refused) {
            EXPECT_EQ(refused.code(), "other-session");
        }
        EXPECT_EQ(victim.sessions, 0);
    }
}

// Messages that are not facts, up to and beyond the protocol's maximum length.
TEST(HostileNode, CannotHarmTheTriggerWithInvalidFacts) {
    const std::string answers[] = {
        "J",
        "J{}",
        "Jnonsense",
        "N\x01\x02",
        "L" + std::string(1000, 'x'),
        "J" + std::string(100'000, '['),
        "J{\"type\":\"facts\",\"agentVersion\":\"" + std::string(900'000, 'x') + "\"}",
        "J{\"type\":\"\xff\xfe\"}",
        "J" + std::string(3 << 20, ' '), // more than a message may have
    };
    for (const auto& answer : answers) {
        Operator anna;
        const auto own_key = ssh::PrivateKey::generate();
        const HostileNode hostile(own_key, [&](HostileNode::Guest& guest) {
            guest.say(protocol::to_message(protocol::Nonce{}));
            guest.hear();
            try {
                guest.say(answer);
            } catch (const Error&) {
                return; // the trigger did not read that far
            }
        });
        EXPECT_THROW(anna.talk_to(hostile, own_key.public_key()), Error) << answer.substr(0, 20);
    }
}

} // namespace
} // namespace waggle::trigger

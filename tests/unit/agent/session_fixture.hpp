#pragma once

#include "agent/daemon/session.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <functional>
#include <thread>

namespace waggle::agent {

inline constexpr std::chrono::seconds patience{10};

// The trigger's end of a session with an agent in memory.
class TestTrigger {
public:
    TestTrigger(const Environment& environment, Deployments& deployments, SessionLimits limits = {},
                std::optional<ssh::PublicKey> operator_key = std::nullopt, int version = 2)
        : connection_(to_agent_, from_agent_),
          thread_([this, &environment, &deployments, limits, operator_key, version] {
              serve_session({.connection = connection_,
                             .hello_time = test_time,
                             .version = version,
                             .operator_key = operator_key},
                            environment, deployments, limits);
          }) {
        facts = next<protocol::Facts>();
    }
    ~TestTrigger() {
        close();
        thread_.join();
    }

    void send(const protocol::Message& message) { to_agent_->push(protocol::encode(message)); }
    void send_list(const std::string& text) { to_agent_->push(protocol::encode_closure_list_piece(text)); }
    void send_bundle_piece(std::string_view bytes) { to_agent_->push(protocol::encode_secret_bundle_piece(bytes)); }
    void send_nar(std::uint32_t index, std::string_view bytes) {
        to_agent_->push(protocol::encode_nar_piece(index, as_bytes(bytes)));
    }
    // The next bytes of the path's frame.
    void send_frame(std::uint32_t index, std::string_view bytes) {
        to_agent_->push(protocol::encode_compressed_nar_piece(index, as_bytes(bytes)));
    }
    void send_whole_nar(const TestClosure& closure, std::uint32_t index) {
        const std::string_view nar = closure.nars[index];
        for (size_t start = 0; start < nar.size(); start += protocol::data_piece_bytes)
            send_nar(index, nar.substr(start, protocol::data_piece_bytes));
    }
    void close() { to_agent_->close(); }
    void lose() { connection_.abort(); }

    // On the way to the awaited message every Want is answered with the right NARs, or, without a closure to serve, not
    // at all.
    template <typename Awaited>
    Awaited next(const TestClosure* serve = nullptr) {
        while (true) {
            const auto text = from_agent_->pop(deadline_in(patience));
            if (!text)
                throw Error("the agent closed the session");
            const auto incoming = protocol::decode(*text);
            const auto& message = std::get<protocol::Message>(incoming);
            if (const auto* awaited = std::get_if<Awaited>(&message))
                return *awaited;
            if (const auto* event = std::get_if<protocol::Event>(&message))
                events.push_back(*event);
            else if (const auto* want = std::get_if<protocol::Want>(&message))
                for (const auto index : serve != nullptr ? want->indices : std::vector<std::uint32_t>{})
                    send_whole_nar(*serve, index);
            else if (const auto* refused = std::get_if<protocol::Refused>(&message))
                throw Error("refused: " + refused->code + ": " + refused->message);
            else
                throw Error("another message than awaited: " + *text);
        }
    }

    bool saw(protocol::DeploymentState state) const {
        return std::ranges::any_of(events, [&](const auto& event) {
            return event.kind == protocol::Event::Kind::state && event.state == state;
        });
    }

    protocol::Facts facts;
    std::vector<protocol::Event> events;

private:
    std::shared_ptr<MessageQueue> to_agent_ = std::make_shared<MessageQueue>();
    std::shared_ptr<MessageQueue> from_agent_ = std::make_shared<MessageQueue>();
    FakeConnection connection_;
    std::thread thread_;
};

class Session : public testing::Test {
protected:
    Session() {
        spdlog::set_level(spdlog::level::off);
        host.next_operators = {operator_key.public_key()};
        start_agent();
    }

    void start_agent() {
        deployments.reset();
        state = std::make_unique<StateKeeper>(folder.path());
        environment = std::make_unique<Environment>(
            Environment{.self = {"demo", "alpha", "x86_64-linux", node_key.public_key()},
                        .configured = {operator_key.public_key()},
                        .host = host,
                        .units = *units,
                        .state = *state,
                        .archive = archive,
                        .open_store = [this](std::chrono::milliseconds) -> std::unique_ptr<NodeStore> {
                            if (content.away)
                                throw Error("connection refused");
                            return std::make_unique<FakeStore>(content);
                        },
                        .store_timeout = std::chrono::seconds(10),
                        .clock = [] { return test_time; },
                        .state_dir = folder.path()});
        deployments = std::make_unique<Deployments>(*environment, [] {});
        deployments->resume();
    }

    protocol::SignedDocument document(const std::function<void(protocol::Deployment&)>& change = {}) {
        auto deployment = test_deployment(node_key.public_key(), closure);
        deployment.sequence += ++documents;
        if (change)
            change(deployment);
        return protocol::sign(deployment, operator_key);
    }

    // Sends it with its list.
    protocol::DeploymentId deploy(TestTrigger& trigger, const protocol::SignedDocument& signed_document) {
        trigger.send(protocol::Deploy{signed_document});
        trigger.send_list(closure.text);
        return signed_document.id();
    }

    protocol::Refused refusal_of(const protocol::SignedDocument& signed_document) {
        TestTrigger trigger(*environment, *deployments);
        deploy(trigger, signed_document);
        return trigger.next<protocol::Refused>();
    }

    // What an agent before this one left.
    void leave(protocol::DeploymentState last) {
        state->change([&](State& all) {
            DeploymentRecord record;
            record.toplevel = closure.toplevel();
            record.previous_system = test_path('a', "old");
            record.state = last;
            record.state_log = {{last, test_time}};
            record.boot_id = "boot-1";
            all.deployment = record;
        });
    }

    // Until the agent waits for its unit.
    void await_activation(TestTrigger& trigger) {
        while (!trigger.saw(protocol::DeploymentState::activating))
            trigger.events.push_back(trigger.next<protocol::Event>());
    }

    // Deploys and serves every path, until the agent waits for its unit.
    protocol::DeploymentId deploy_until_activation(TestTrigger& trigger) {
        const auto id = deploy(trigger, document());
        trigger.next<protocol::Admitted>();
        trigger.next<protocol::Want>();
        for (std::uint32_t i = 0; i < 3; ++i)
            trigger.send_whole_nar(closure, i);
        await_activation(trigger);
        return id;
    }

    TemporaryFolder folder;
    TestClosure closure = test_closure();
    ssh::PrivateKey operator_key = ssh::PrivateKey::generate();
    ssh::PrivateKey node_key = ssh::PrivateKey::generate();
    FakeStoreContent content;
    FakeHost host;
    std::unique_ptr<FakeUnits> units = std::make_unique<FakeUnits>(folder.path());
    std::int64_t documents = 0;
    Archive archive{folder.path()};
    std::unique_ptr<StateKeeper> state;
    std::unique_ptr<Environment> environment;
    std::unique_ptr<Deployments> deployments;
};

} // namespace waggle::agent

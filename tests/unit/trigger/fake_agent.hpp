#pragma once

#include "shared/net/client.hpp"
#include "shared/protocol/closure_list.hpp"
#include "shared/protocol/messages.hpp"
#include "trigger/connect/session.hpp"
#include "trigger/report/reporter.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace waggle::trigger {

// Two ends of a connection in memory. What the agent's end does is written in a test.
class MemoryLink {
public:
    enum class End { trigger, agent };

    void send(End from, std::string message);
    std::optional<std::string> receive(End at, Deadline deadline);
    void close();     // in order, by the agent
    void break_off(); // from either side
    void wait_until_read(End by);

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::string> to_trigger_;
    std::deque<std::string> to_agent_;
    bool closed_ = false;
    bool broken_ = false;
};

// The agent's end, with the words of the protocol.
class AgentSide {
public:
    explicit AgentSide(std::shared_ptr<MemoryLink> link) : link_(std::move(link)) {}

    // Challenge and hello; greet sends facts after them.
    protocol::Hello challenge();
    void greet(const protocol::Facts& facts);
    void send(const protocol::Message& message) { link_->send(MemoryLink::End::agent, protocol::encode(message)); }
    void send_raw(std::string message) { link_->send(MemoryLink::End::agent, std::move(message)); }
    std::string receive();
    template <class T>
    T expect() {
        const std::string bytes = receive();
        return std::get<T>(std::get<protocol::Message>(protocol::decode(bytes)));
    }
    // Deploy, the sealed bundle and the closure list, as far as there are any.
    protocol::DeploymentId take_deployment();
    const protocol::Deployment& deployment() const { return deployments.back(); }
    const protocol::ClosureList& list() const { return list_; }
    // The bytes of the wanted NARs, in order, decompressed if they were compressed.
    std::vector<std::string> take_nars(const std::vector<std::uint32_t>& indices);
    void send_state(std::uint64_t number, protocol::DeploymentState state);
    void send_log(std::uint64_t number, const std::string& text);
    void send_result(const protocol::DeploymentId& id, protocol::Outcome outcome, const std::string& code = "",
                     const std::string& message = "");
    void close() { link_->close(); }
    void break_off() { link_->break_off(); }
    // Breaks the connection when everything that was sent has been read.
    void break_off_when_read();

    std::vector<protocol::Deployment> deployments;
    std::string sealed_bundle;      // of the last one
    std::uint64_t plain_bytes = 0;  // of NARs that came uncompressed
    std::uint64_t packed_bytes = 0; // of the frames of NARs that came compressed

private:
    std::string take_nar(std::uint32_t index);

    std::shared_ptr<MemoryLink> link_;
    protocol::ClosureList list_;
};

// An agent that behaves as written: each connection runs the next script in a thread of its own.
class FakeAgent {
public:
    using Script = std::function<void(AgentSide&)>;

    explicit FakeAgent(std::vector<Script> scripts) : scripts_(scripts.begin(), scripts.end()) {}
    ~FakeAgent();

    // Connections beyond the last script are refused.
    Connect connector();
    const ssh::PublicKey& key() const { return key_; }
    const ssh::PrivateKey& private_key() const { return private_key_; }
    int connections() const { return static_cast<int>(threads_.size()); }

private:
    ssh::PrivateKey private_key_ = ssh::PrivateKey::generate();
    ssh::PublicKey key_ = private_key_.public_key();
    std::deque<Script> scripts_;
    std::vector<std::thread> threads_;
    std::vector<std::shared_ptr<MemoryLink>> links_;
};

// Records what is reported to it.
class RecordingReporter : public Reporter {
public:
    void step(const std::string&, Step step) override { add("step " + std::string(to_string(step))); }
    void line(const std::string&, std::string_view text) override { add("line " + std::string(text.substr(0, 100))); }
    void transfer(const std::string&, std::uint64_t done, std::uint64_t total) override {
        add("transfer " + std::to_string(done) + "/" + std::to_string(total));
    }
    void ended(const std::string&, protocol::Outcome, std::string_view) override {}
    void activity(std::string_view text) override { add("activity " + std::string(text)); }
    void note(std::string_view text) override { add("note " + std::string(text)); }

    std::vector<std::string> all() const {
        const std::scoped_lock lock(mutex_);
        return all_;
    }

private:
    void add(std::string what) {
        const std::scoped_lock lock(mutex_);
        all_.push_back(std::move(what));
    }

    mutable std::mutex mutex_;
    std::vector<std::string> all_;
};

} // namespace waggle::trigger

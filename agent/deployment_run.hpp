#pragma once

#include "agent/activation.hpp"
#include "agent/event_log.hpp"
#include "agent/fetch.hpp"
#include "agent/host.hpp"
#include "agent/state.hpp"
#include "agent/store.hpp"
#include "shared/base/interrupt.hpp"
#include "shared/base/time.hpp"
#include "shared/protocol/deployment.hpp"
#include "shared/protocol/messages.hpp"

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace waggle::agent {

// Where the outside world begins.
struct World {
    Host& host;
    ActivationUnit& activation;
    StateKeeper& state;
    // Throws Error when the nix daemon is away, or says nothing for the time given.
    std::function<std::unique_ptr<Store>(std::chrono::milliseconds)> open_store;
    std::function<Time()> clock;
    std::filesystem::path state_dir;
};

// The life of one deployment on this node. It is carried out in two parts: `prepare` on the thread of the session that
// brought it, and, when that is done, `activate`, which needs no session any more. Every step is persisted before
// it is acted on. Sessions read `events`.
class DeploymentRun {
public:
    DeploymentRun(World& world, protocol::Deployment deployment, protocol::DeploymentId id, std::string operator_key);
    // One that an agent before this one left in its state: running, or ended.
    DeploymentRun(World& world, const DeploymentRecord& record);

    const protocol::DeploymentId& id() const { return id_; }
    const EventLog& events() const { return events_; }
    protocol::Running running() const;

    // Persists that this deployment was admitted; it has then begun. Throws when it cannot be written.
    void begin();
    // Fetches what is missing and makes it ready. True: now it is to be activated. False: it has ended.
    // Takes over the connection to the store, and closes it.
    bool prepare(std::unique_ptr<Store> store, Feed& feed);
    // Runs the activation to its end. Throws Interrupted when the agent is to stop; the activation goes on then.
    void activate(const Interrupt& interrupt);
    // After a restart of the agent: waits for the activation another agent started, or says how it ended.
    void resume(const Interrupt& interrupt);

    // Gives it up if its activation has not begun.
    void cancel();
    bool cancelled() const { return cancelled_; }

private:
    void enter(protocol::DeploymentState state);
    void end(protocol::DeploymentState state, protocol::Outcome outcome, std::string code, std::string message,
             std::optional<std::uint64_t> generation = std::nullopt);
    void note(std::string text);
    void progress(const FetchProgress& progress);
    bool unchanged() const;
    // Fetch, root, last looks. False: there is nothing to activate.
    bool fetch_and_stage(std::unique_ptr<Store> store, Feed& feed);
    void start_activation();
    void await_activation(const Interrupt& interrupt);
    void conclude(const ActivationReport& report);
    void drop_old_roots() noexcept;
    std::filesystem::path root_link() const;
    std::filesystem::path previous_root_link() const;

    World& world_;
    protocol::DeploymentId id_;
    protocol::Deployment deployment_; // of one left by another agent: only goal and toplevel
    std::string operator_key_;
    EventLog events_;
    std::atomic<bool> cancelled_ = false;
    FetchProgress fetched_;

    mutable std::mutex mutex_; // for what follows
    protocol::DeploymentState state_ = protocol::DeploymentState::received;
    Time since_;
    bool activation_begun_ = false;
};

} // namespace waggle::agent

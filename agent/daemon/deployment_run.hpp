#pragma once

#include "agent/daemon/deployment_events.hpp"
#include "agent/daemon/environment.hpp"
#include "agent/daemon/fetch.hpp"
#include "agent/daemon/prepare.hpp"
#include "agent/node/node_store.hpp"
#include "agent/state/record.hpp"
#include "agent/state/state.hpp"
#include "shared/base/interrupt.hpp"
#include "shared/protocol/deployment.hpp"
#include "shared/protocol/messages.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace waggle::agent {

// Drives one deployment inside the daemon: `prepare` runs on the thread of the session that brought it, `activate`
// afterwards and without a session. `activate` starts the unit that changes the system, and publishes what that unit
// and later ones write to the state file. Every transition is persisted before it takes effect. Sessions subscribe to
// the run's events.
class DeploymentRun {
public:
    // `admitted` is what the node remembers of the admission.
    DeploymentRun(const Environment& environment, protocol::Deployment deployment, LastAdmitted admitted);
    // A deployment that an earlier agent process left in the state file, running or ended.
    DeploymentRun(const Environment& environment, const DeploymentRecord& record);

    const protocol::DeploymentId& id() const { return id_; }
    const EventLog& events() const { return events_.events(); }
    protocol::Running running() const;
    // Whether the deployment has ended. Sessions learn of it later: the run first reads the units' remaining output.
    bool has_ended() const;

    // Persists the admission and thereby begins the deployment. Throws if the state cannot be written.
    void begin();
    // Fetches what is missing. Returns true if the deployment must now be activated, false if it has ended.
    // Takes ownership of the connection to the store, and closes it.
    bool prepare(std::unique_ptr<NodeStore> store, Feed& feed);
    // Starts the activation and follows the deployment to its end. Throws Interrupted when the agent must stop; the
    // deployment then continues without it.
    void activate(const Interrupt& interrupt);
    // Continues after a restart of the agent, by the restart rules of agent/state/life.hpp.
    void resume(const Interrupt& interrupt);

    // Whether the new system has started this agent, which may therefore confirm it.
    bool awaits_confirmation() const;
    // Starts the commit, because an operator has reached the node. Throws Error if the unit cannot be started.
    void confirm();

    // Ends the deployment if its activation has not begun.
    void cancel();
    bool cancelled() const { return cancel_.requested(); }

private:
    // Persists the transition and publishes it. Returns the new record.
    DeploymentRecord take(StateEvent event, const std::function<void(DeploymentRecord&, State&)>& edit = {});
    // Ends the deployment before anything was activated.
    void give_up(StateEvent event, const Ending& ending);
    // Records what must be activated. Returns false, and ends the deployment, if nothing must.
    bool stage(const Prepared& prepared);

    const Environment& environment_;
    protocol::DeploymentId id_;
    protocol::Deployment deployment_; // empty if an earlier agent began it
    std::string operator_key_;
    LastAdmitted admitted_; // empty if an earlier agent began it
    DeploymentEvents events_;
    Interrupt cancel_;
    std::optional<nix::StorePath> target_; // the specialisation to switch to
    FetchProgress fetched_;
    const bool started_by_new_system_ = false;
    std::atomic<bool> confirmed_ = false;

    mutable std::mutex mutex_; // guards the following members
    bool activation_begun_ = false;
};

} // namespace waggle::agent

#pragma once

#include "agent/daemon/admission.hpp"
#include "agent/daemon/deployment_run.hpp"
#include "agent/daemon/environment.hpp"
#include "agent/daemon/node_build.hpp"
#include "shared/base/interrupt.hpp"
#include "shared/protocol/messages.hpp"
#include "shared/protocol/signed_document.hpp"
#include "shared/ssh/key.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <variant>
#include <vector>

namespace waggle::agent {

// The deployments of this node, one at a time. The newest one stays available after its end.
// Safe to use from several threads.
class Deployments {
public:
    struct Started {
        std::shared_ptr<DeploymentRun> run;
        bool attached = false;            // the run existed already; nothing must be carried out
        std::unique_ptr<NodeStore> store; // otherwise the connection to fetch with
    };
    using Answer = std::variant<protocol::Refused, Started>;

    // Calls `on_end` after each deployment's end, on the thread that ended it.
    Deployments(const Environment& environment, std::function<void()> on_end);
    // A running activation continues in its unit; only the watching stops.
    ~Deployments();

    // Stops following deployments, which continue in their units. Must be called once, before destruction.
    void stop();

    // Resumes what an earlier agent process left.
    void resume();

    // Admits and begins a deployment, or returns the reason for refusing it.
    Answer deploy(const protocol::SignedDocument& document, Time session_clock);
    // Carries out a started deployment: on this thread while it needs the session, then in the background.
    void carry_out(Started started, Feed& feed);

    // Admits a build on this node, for the session with this exporter. Refuses it while a deployment is under way.
    TargetBuilds::Answer begin_build(const protocol::SignedDocument& document, const protocol::Exporter& exporter);

    // Keeps the new system, because an operator has reached the node after the activation of this deployment. Returns
    // nullopt once the commit is under way.
    std::optional<protocol::Refused> confirm(const protocol::DeploymentId& id);

    // Calls `action` while no deployment can begin. Returns the running deployment, and does nothing, if there is one.
    std::optional<protocol::Running> unless_running(const std::function<void()>& action);

    // The deployment with this ID if it is the newest one, otherwise null.
    std::shared_ptr<DeploymentRun> find(const protocol::DeploymentId& id) const;
    // The deployment that has not ended.
    std::optional<protocol::Running> running() const;
    // The deployment that this agent commits on confirm().
    std::optional<protocol::DeploymentId> awaits_confirmation() const;
    // Whether a deployment blocks others. It does until its remaining output has been read, which is after its end.
    bool busy() const;
    // The keys that may deploy now.
    std::vector<ssh::PublicKey> operators() const;

private:
    // Requires the mutex.
    Admission consider(const protocol::SignedDocument& document, Time session_clock) const;
    std::shared_ptr<DeploymentRun> newest() const;
    // Waits briefly for the previous deployment's remaining output, so that it does not block the next admission.
    void await_remaining_output() const;
    // Runs this part of the deployment on the thread `activation_`. Requires the mutex.
    void watch(std::shared_ptr<DeploymentRun> run, void (DeploymentRun::*part)(const Interrupt&));
    void ended() noexcept;

    const Environment& environment_;
    const std::function<void()> on_end_;
    TargetBuilds builds_{environment_};
    Interrupt stop_;
    mutable std::mutex mutex_; // guards the following members
    std::shared_ptr<DeploymentRun> newest_;
    std::thread activation_; // waits for the activation of the newest deployment
};

} // namespace waggle::agent

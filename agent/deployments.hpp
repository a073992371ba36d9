#pragma once

#include "agent/admission.hpp"
#include "agent/deployment_run.hpp"
#include "agent/target_build.hpp"
#include "shared/base/interrupt.hpp"
#include "shared/protocol/messages.hpp"
#include "shared/protocol/signed_document.hpp"
#include "shared/ssh/key.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

namespace waggle::agent {

// The deployments of this node: one at a time; the newest one can be looked at when it has ended, too.
// Safe to use from several threads.
class Deployments {
public:
    struct Started {
        std::shared_ptr<DeploymentRun> run;
        bool attached = false;        // it was known already: nothing is to be carried out
        std::unique_ptr<Store> store; // else the connection it fetches with
    };
    using Answer = std::variant<protocol::Refused, Started>;

    // `configured` are the operators in the agent's configuration; agent/operators.hpp says when they count. `on_end`
    // is called, from the thread that ended it, after each deployment's end.
    Deployments(NodeIdentity self, std::vector<ssh::PublicKey> configured, World& world, std::function<void()> on_end);
    // An activation under way goes on in its unit; we only stop watching it.
    ~Deployments();

    // Follows no deployment any more; what runs on the node goes on. To be called once, before the end.
    void stop();

    // Takes up what an agent before this one left.
    void resume();

    // Admits and begins a deployment, or says why not.
    Answer deploy(const protocol::SignedDocument& document, Time session_clock);
    // Carries a started deployment out as far as the session is needed, then goes on without it.
    void carry_out(Started started, Feed& feed);

    // Admits a build by this node, for a session with this exporter. None begins while a deployment is under way.
    TargetBuilds::Answer begin_build(const protocol::SignedDocument& document, const protocol::Exporter& exporter);

    // The deployment with this id, if it is the newest one.
    std::shared_ptr<DeploymentRun> find(const protocol::DeploymentId& id) const;
    bool busy() const;
    // Lets go of GC roots that are due (agent/retention.hpp).
    void tidy() const;
    // The node was reached after the activation of this deployment: keeps the new system. nullopt: under way.
    std::optional<protocol::Refused> confirm(const protocol::DeploymentId& id);

    // Answers to what a session asks for.
    protocol::Message check_health() const;
    protocol::Message secrets() const;
    protocol::Message reboot();
    protocol::Message history(std::uint64_t limit);
    std::variant<protocol::Refused, Archive::Kept> recall(std::optional<std::uint64_t> generation) const;

    protocol::Facts facts(int session_version) const;
    // Who may deploy, now.
    std::vector<ssh::PublicKey> operators() const;

private:
    // With the mutex held.
    Admission consider(const protocol::SignedDocument& document, Time session_clock) const;
    // The one that holds the node against another: also one that has ended and whose last words are being read.
    std::optional<protocol::Running> holder() const;
    // The one that has not ended.
    std::optional<protocol::Running> running() const;
    // One that has ended a moment ago does not keep the next from being admitted.
    void await_last_words() const;
    void watch(std::shared_ptr<DeploymentRun> run, void (DeploymentRun::*part)(const Interrupt&));
    void ended() noexcept;
    void remember_end() noexcept;
    void remove_left_boot_watch() noexcept;

    const NodeIdentity self_;
    const std::vector<ssh::PublicKey> configured_;
    World& world_;
    const std::function<void()> on_end_;
    TargetBuilds builds_{world_};
    Interrupt stop_;
    mutable std::mutex mutex_; // for what follows
    std::shared_ptr<DeploymentRun> newest_;
    std::thread activation_; // waits for the newest one's activation
};

} // namespace waggle::agent

#pragma once

#include "agent/archive.hpp"
#include "agent/deployment_story.hpp"
#include "agent/fetch.hpp"
#include "agent/host.hpp"
#include "agent/life.hpp"
#include "agent/life_units.hpp"
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
#include <optional>
#include <string>

namespace waggle::agent {

// Where the outside world begins.
struct World {
    Host& host;
    LifeUnits& units;
    StateKeeper& state;
    // Throws Error when the nix daemon is away, or says nothing for the time given.
    std::function<std::unique_ptr<Store>(std::chrono::milliseconds)> open_store;
    std::function<Time()> clock;
    std::filesystem::path state_dir;
    Archive* archive = nullptr;                                // null: nothing is remembered
    std::function<protocol::HealthReport()> check_health = {}; // of the running system
    std::function<void()> reboot = {};                         // asks for it, and returns
    std::function<protocol::SecretsReport()> report_secrets = {};
    std::filesystem::path config_file = {}; // of this agent
};

// The daemon's part in the life of one deployment. It is carried out in two parts: `prepare` on the thread of the
// session that brought it, and, when that is done, `activate`, which needs no session any more: it starts the unit that
// changes the system and tells what that and later units write into the state. Every step is persisted before it is
// acted on. Sessions read its story.
class DeploymentRun {
public:
    // `configured`: the operators in the configuration of this agent.
    DeploymentRun(World& world, protocol::Deployment deployment, protocol::DeploymentId id, std::string operator_key,
                  std::vector<ssh::PublicKey> configured);
    // One that an agent before this one left in its state: running, or ended.
    DeploymentRun(World& world, const DeploymentRecord& record);

    const protocol::DeploymentId& id() const { return id_; }
    const EventLog& events() const { return story_.events(); }
    protocol::Running running() const;
    // Whether it has ended, though sessions may not have been told yet: its units' last words are read before that.
    bool has_ended() const;

    // Persists that this deployment was admitted; it has then begun. Throws when it cannot be written.
    void begin();
    // Fetches what is missing and makes it ready. True: now it is to be activated. False: it has ended.
    // Takes over the connection to the store, and closes it.
    bool prepare(std::unique_ptr<Store> store, Feed& feed);
    // Starts the activation and follows the deployment to its end. Throws Interrupted when the agent is to stop; the
    // deployment goes on then.
    void activate(const Interrupt& interrupt);
    // After a restart of the agent: goes on as agent/life.hpp's restart rules say.
    void resume(const Interrupt& interrupt);

    // Whether this agent is the one that keeps the new system: it was started by it after the activation.
    bool awaits_confirmation() const;
    // The node was reached: starts the commit. Throws Error when that could not be started.
    void confirm();

    // Gives it up if its activation has not begun.
    void cancel();
    bool cancelled() const { return cancelled_; }

private:
    // Takes the step, persisted, and tells of it.
    void take(LifeEvent event, const std::function<void(DeploymentRecord&)>& edit = {},
              const std::function<void(State&)>& edit_others = {});
    void give_up(LifeEvent event, const Ending& ending);
    void on_progress(const FetchProgress& progress);
    bool unchanged() const;
    bool runs_already() const;
    // Fetch, root, last looks. False: there is nothing to activate.
    bool fetch_and_stage(std::unique_ptr<Store> store, Feed& feed);
    std::optional<BundleRef> receive_bundle(Feed& feed);
    // Records what is to be activated, or that nothing is.
    bool stage(const std::optional<BundleRef>& bundle, bool secrets_only);
    // Holds the system against admission's last rule, and finds who deploys once it is committed. Throws Stopped.
    void check_sense();
    bool was_here_before() const;
    void start_units();
    void follow(const Interrupt& interrupt);
    DeploymentRecord look(bool working);
    bool is_stuck(const DeploymentRecord& record) const;

    World& world_;
    protocol::DeploymentId id_;
    protocol::Deployment deployment_; // of one left by another agent: only goal and toplevel
    std::string operator_key_;
    std::vector<ssh::PublicKey> configured_; // of one left by another agent: empty, for it is past this
    DeploymentStory story_;
    std::atomic<bool> cancelled_ = false;
    std::optional<OperatorList> operators_;      // before this is committed
    std::optional<OperatorList> next_operators_; // and after
    std::optional<nix::StorePath> target_;       // the specialisation that is switched to
    FetchProgress fetched_;
    const bool started_by_new_system_ = false;
    std::atomic<bool> confirmed_ = false;

    mutable std::mutex mutex_; // for what follows
    bool activation_begun_ = false;
};

} // namespace waggle::agent

#include "agent/deployment_run.hpp"

#include "agent/secrets/bundle_files.hpp"
#include "agent/secrets/which_bundle.hpp"
#include "shared/base/error.hpp"
#include "shared/net/connection.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace waggle::agent {

using protocol::DeploymentState;
using protocol::Event;
using protocol::Goal;
using protocol::Outcome;

namespace {

constexpr std::chrono::seconds follow_retry{5};
constexpr std::chrono::seconds replay_time{60}; // in which a trigger comes back to a restarted agent

Event new_event(Time time, Event::Kind kind, DeploymentState state, std::string text = {}) {
    Event event;
    event.time = time;
    event.kind = kind;
    event.state = state;
    event.text = std::move(text);
    return event;
}

protocol::Result result_of(const DeploymentRecord& record) {
    return {.id = record.id,
            .outcome = record.outcome.value_or(Outcome::unknown),
            .code = record.code,
            .message = record.message,
            .generation = record.generation,
            .fetched_paths = record.fetched_paths,
            .fetched_bytes = record.fetched_bytes};
}

} // namespace

DeploymentRun::DeploymentRun(World& world, protocol::Deployment deployment, protocol::DeploymentId id,
                             std::string operator_key)
    : world_(world), id_(id), deployment_(std::move(deployment)), operator_key_(std::move(operator_key)),
      since_(world.clock()) {}

namespace {

// An agent that was started while the activation ran is of the old system, or will be restarted at its end.
bool is_started_by_new_system(const World& world, const DeploymentRecord& record) {
    return record.state == DeploymentState::activated && !record.outcome && world.host.boot_id() == record.boot_id &&
           world.host.current_system() == record.toplevel;
}

// What an agent before this one has told already.
size_t told_before(const DeploymentRecord& record) {
    const auto activation = std::ranges::find(record.trail, DeploymentState::activating, &TrailEntry::state);
    return static_cast<size_t>(activation - record.trail.begin());
}

// Its trigger may not have heard all of its output: the way back ends with a restart of the agent.
bool ended_just_now(const World& world, const DeploymentRecord& record) {
    return record.outcome && told_before(record) < record.trail.size() && world.clock() - record.since < replay_time;
}

} // namespace

DeploymentRun::DeploymentRun(World& world, const DeploymentRecord& record)
    : world_(world), id_(record.id), operator_key_(record.operator_key),
      started_by_new_system_(is_started_by_new_system(world, record)), told_(told_before(record)), state_(record.state),
      since_(record.since), activation_begun_(true) {
    deployment_.goal = record.goal;
    deployment_.toplevel = record.toplevel;
    fetched_.paths_done = record.fetched_paths;
    fetched_.bytes_done = record.fetched_bytes;
    if (!ended_just_now(world, record))
        publish(record);
}

protocol::Running DeploymentRun::running() const {
    const std::lock_guard lock(mutex_);
    return {.id = id_, .state = state_, .since = since_, .operator_key = operator_key_};
}

void DeploymentRun::begin() {
    const auto state = world_.state.change([&](State& all) {
        all.secrets = committed_bundle(all);
        all.last_admitted = LastAdmitted{
            .id = id_, .sequence = deployment_.sequence, .created = deployment_.created, .operator_key = operator_key_};
        DeploymentRecord record;
        record.id = id_;
        record.goal = deployment_.goal;
        record.toplevel = deployment_.toplevel;
        record.rollback = deployment_.rollback;
        record.reboot = deployment_.reboot;
        record.remove_agent = deployment_.remove_agent;
        record.since = since_;
        record.trail = {{DeploymentState::received, since_}};
        record.operator_key = operator_key_;
        all.deployment = std::move(record);
    });
    spdlog::info("deployment {}: {} to {}, signed by {}", id_.brief(), to_string(deployment_.goal),
                 deployment_.toplevel ? deployment_.toplevel->absolute() : "no system", operator_key_);
    publish(*state.deployment);
}

void DeploymentRun::take(LifeEvent event, const std::function<void(DeploymentRecord&)>& edit) {
    const Time now = world_.clock();
    const auto state = world_.state.change([&](State& all) {
        if (!all.deployment || all.deployment->id != id_)
            throw Error("the record of the deployment is gone");
        all.deployment->fetched_paths = fetched_.paths_done;
        all.deployment->fetched_bytes = fetched_.bytes_done;
        if (edit)
            edit(*all.deployment);
        advance(*all.deployment, event, now);
    });
    publish(*state.deployment);
}

// Ends the deployment before anything was activated.
void DeploymentRun::give_up(LifeEvent event, const Ending& ending) {
    try {
        take(event, [&](DeploymentRecord& record) { agent::end(record, ending); });
    } catch (const std::exception& error) {
        // The trigger hears how it ended all the same; a restarted agent finds out again.
        spdlog::error("the end of deployment {} was not written: {}", id_.brief(), error.what());
        DeploymentRecord record;
        record.id = id_;
        record.fetched_paths = fetched_.paths_done;
        record.fetched_bytes = fetched_.bytes_done;
        agent::end(record, ending);
        events_.end(result_of(record));
    }
}

void DeploymentRun::publish(const DeploymentRecord& record) {
    const std::lock_guard lock(mutex_);
    for (; told_ < record.trail.size(); ++told_) {
        const auto& [state, at] = record.trail[told_];
        events_.add(new_event(at, Event::Kind::state, state));
        spdlog::info("deployment {}: {}", id_.brief(), to_string(state));
    }
    state_ = record.state;
    since_ = record.since;
    if (record.outcome && !events_.ended()) {
        spdlog::info("deployment {}: {}{}{}", id_.brief(), to_string(*record.outcome),
                     record.message.empty() ? "" : ": ", record.message);
        events_.end(result_of(record));
    }
}

void DeploymentRun::note(std::string text) {
    events_.add(new_event(world_.clock(), Event::Kind::note, running().state, std::move(text)));
}

void DeploymentRun::progress(const FetchProgress& progress) {
    fetched_ = progress;
    auto event = new_event(world_.clock(), Event::Kind::progress, DeploymentState::fetching);
    event.paths_done = progress.paths_done;
    event.paths_total = progress.paths_total;
    event.bytes_done = progress.bytes_done;
    event.bytes_total = progress.bytes_total;
    events_.add(std::move(event));
}

bool DeploymentRun::unchanged() const {
    if (deployment_.goal != Goal::switch_ && deployment_.goal != Goal::boot && deployment_.goal != Goal::test)
        return false;
    if (world_.host.current_system() != deployment_.toplevel)
        return false;
    return deployment_.goal == Goal::test || world_.host.profile() == deployment_.toplevel;
}

bool DeploymentRun::prepare(std::unique_ptr<Store> store, Feed& feed) {
    const auto failed = [&](Outcome outcome, std::string code, std::string message) {
        give_up(LifeEvent::give_up, {.outcome = outcome, .code = std::move(code), .message = std::move(message)});
        return false;
    };
    try {
        return fetch_and_stage(std::move(store), feed);
    } catch (const Stopped& error) {
        return failed(error.outcome(), error.code(), error.what());
    } catch (const Interrupted&) {
        return failed(Outcome::interrupted, "cancelled", "stopped by the operator before the activation");
    } catch (const net::ConnectionLost& error) {
        return failed(
            Outcome::failed_before_activation, "session-lost",
            fmt::format("the session was lost while fetching ({}); what has arrived stays, apply again to go on",
                        error.what()));
    } catch (const nix::DaemonError& error) {
        return failed(Outcome::failed_before_activation, "store-error",
                      fmt::format("the nix daemon: {}", error.what()));
    } catch (const std::exception& error) {
        return failed(Outcome::failed_before_activation, "fetch-failed", error.what());
    }
}

bool DeploymentRun::fetch_and_stage(std::unique_ptr<Store> store, Feed& feed) {
    const auto end_unchanged = [&] {
        give_up(LifeEvent::unchanged, {.outcome = Outcome::unchanged,
                                       .code = "",
                                       .message = "the node already runs this system",
                                       .generation = world_.host.profile_generation()});
        return false;
    };
    const bool any_content = deployment_.local_content == protocol::LocalContent::trust_node;
    if (deployment_.secrets.keep && any_content && unchanged())
        return end_unchanged(); // the closure list that follows is not asked for

    take(LifeEvent::fetch);
    const auto bundle = receive_bundle(feed);
    if (!deployment_.toplevel || (any_content && unchanged()))
        return stage(bundle, true);
    const auto& toplevel = *deployment_.toplevel;
    const auto list = receive_closure_list(*deployment_.closure, toplevel, feed);
    if (world_.archive != nullptr && sets_profile(deployment_.goal))
        world_.archive->keep_list(id_, to_text(list));
    fetched_ = fetch(list, *store, feed,
                     {.local_content = deployment_.local_content,
                      .free_bytes = world_.host.free_store_bytes(),
                      .on_progress = [&](const FetchProgress& now) { progress(now); },
                      .on_note = [&](const std::string& text) { note(text); }});
    if (unchanged())
        return bundle ? stage(bundle, true) : end_unchanged();
    root(*store);
    store.reset();

    if (activates(deployment_.goal) && !world_.host.is_system(toplevel))
        throw Stopped(Outcome::failed_before_activation, "not-a-system",
                      fmt::format("{} has no bin/switch-to-configuration", toplevel.absolute()));
    return stage(bundle, false);
}

std::optional<BundleRef> DeploymentRun::receive_bundle(Feed& feed) {
    if (deployment_.secrets.keep)
        return std::nullopt;
    const BundleFiles files(world_.state_dir);
    auto bundle = files.receive(id_, deployment_.sequence, deployment_.secrets, feed);
    std::vector<protocol::DeploymentId> wanted{id_};
    if (const auto committed = world_.state.get().secrets)
        wanted.push_back(committed->id);
    files.keep_only(wanted);
    return bundle;
}

bool DeploymentRun::stage(const std::optional<BundleRef>& bundle, bool secrets_only) {
    const bool activate = secrets_only || activates(deployment_.goal);
    take(LifeEvent::stage, [&](DeploymentRecord& record) {
        record.bundle = bundle;
        record.secrets_only = secrets_only;
        if (!activate)
            agent::end(record, {});
    });
    return activate;
}

// What the way there and back needs must not be collected as garbage.
void DeploymentRun::root(Store& store) {
    store.add_root(root_link(), *deployment_.toplevel);
    if (const auto previous = world_.host.current_system())
        store.add_root(root_link("-previous"), *previous);
    if (const auto agent = own_package())
        store.add_root(root_link("-agent"), *agent);
}

void DeploymentRun::activate(const Interrupt& interrupt) {
    bool begun = false;
    try {
        {
            const std::lock_guard lock(mutex_);
            if (cancelled_)
                throw Interrupted("cancelled");
            activation_begun_ = true; // from here on a cancel comes too late
        }
        world_.units.disarm(); // what an earlier deployment may have left
        const auto current = world_.host.current_system();
        const auto failed_units = world_.host.failed_units();
        take(LifeEvent::activate, [&](DeploymentRecord& record) {
            record.previous_system = current;
            record.previous_profile = world_.host.profile();
            record.previous_profile_link = world_.host.profile_link();
            record.agent = own_program();
            record.config = world_.config_file.string();
            record.boot_id = world_.host.boot_id();
            record.failed_units = failed_units;
        });
        begun = true;
        start_units();
    } catch (const Interrupted&) {
        return give_up(LifeEvent::give_up, {.outcome = Outcome::interrupted,
                                            .code = "cancelled",
                                            .message = "stopped by the operator before the activation"});
    } catch (const std::exception& error) {
        return give_up(
            begun ? LifeEvent::nothing_activated : LifeEvent::give_up,
            {.outcome = Outcome::failed_before_activation, .code = "activation-not-started", .message = error.what()});
    }
    follow(interrupt);
}

void DeploymentRun::start_units() {
    const auto record = *world_.state.get().deployment;
    const bool goes_back = record.secrets_only || record.goal == Goal::switch_ || record.goal == Goal::test;
    if (goes_back && record.rollback.enable)
        world_.units.arm_activation_timer(record);
    world_.units.start_activation(record);
}

void DeploymentRun::follow(const Interrupt& interrupt) {
    const auto on_line = [&](std::string_view line) {
        events_.add(new_event(world_.clock(), Event::Kind::log, running().state,
                              std::string(line.substr(0, EventLog::max_text_bytes + 1))));
    };
    while (!events_.ended()) {
        try {
            const auto record = world_.state.get().deployment;
            if (!record)
                throw Error("the record of the deployment is gone");
            std::optional<DeploymentRecord> last;
            world_.units.watch(
                *record, on_line,
                [&](bool working) {
                    last = look(working);
                    return last->outcome.has_value();
                },
                interrupt);
            publish(*last); // after the units' last words
        } catch (const Interrupted&) {
            // An activation's last act may be our restart: how it ended is written by then, and is passed on.
            if (const auto record = world_.state.get().deployment; record && record->id == id_ && record->outcome)
                publish(*record);
            throw;
        } catch (const std::exception& error) {
            spdlog::error("following deployment {}: {}", id_.brief(), error.what());
            pollfd fd{.fd = interrupt.fd(), .events = POLLIN, .revents = 0};
            ::poll(&fd, 1, static_cast<int>(std::chrono::milliseconds(follow_retry).count()));
            interrupt.check();
        }
    }
    const auto record = world_.state.get().deployment;
    if (running().state == DeploymentState::committed && record && !record->secrets_only)
        drop_old_roots();
}

// What the units have written. A step that none of them works on any more is taken up.
DeploymentRecord DeploymentRun::look(bool working) {
    auto record = world_.state.get().deployment;
    if (!record || record->id != id_)
        throw Error("the record of the deployment is gone");
    if (record->outcome)
        return std::move(*record);
    publish(*record);
    if (!working && is_stuck(*record)) {
        spdlog::warn("deployment {} is {}, and nothing works on it: taking it up", id_.brief(),
                     to_string(record->state));
        world_.units.start_recovery(*record);
    }
    return std::move(*record);
}

bool DeploymentRun::is_stuck(const DeploymentRecord& record) const {
    switch (restart_rule(record.state)) {
    case RestartRule::roll_back:
    case RestartRule::finish: return true;
    case RestartRule::await_word:
        return world_.host.boot_id() != record.boot_id || world_.host.current_system() != record.toplevel;
    case RestartRule::look_at_boot: return world_.host.boot_id() != record.boot_id;
    default: return false;
    }
}

void DeploymentRun::resume(const Interrupt& interrupt) {
    if (events_.ended())
        return;
    const auto record = world_.state.get().deployment;
    if (record && !record->outcome && restart_rule(record->state) == RestartRule::give_up)
        return give_up(
            LifeEvent::give_up,
            {.outcome = Outcome::failed_before_activation,
             .code = "agent-restarted",
             .message = "the agent was restarted before the activation; what has arrived stays, apply again to go on"});
    spdlog::info("deployment {} was {} when this agent was started", id_.brief(), to_string(running().state));
    follow(interrupt);
}

bool DeploymentRun::awaits_confirmation() const {
    return started_by_new_system_ && !confirmed_ && running().state == DeploymentState::activated && !events_.ended();
}

void DeploymentRun::confirm() {
    if (confirmed_.exchange(true))
        return;
    try {
        const auto record = world_.state.get().deployment;
        if (record && record->id == id_)
            world_.units.start_commit(*record);
    } catch (...) {
        confirmed_ = false;
        throw;
    }
}

void DeploymentRun::cancel() {
    bool too_late = false;
    {
        const std::lock_guard lock(mutex_);
        too_late = activation_begun_;
        if (!too_late)
            cancelled_ = true;
    }
    if (too_late)
        note("the activation has begun and runs to its end");
}

std::filesystem::path DeploymentRun::root_link(std::string_view suffix) const {
    return world_.state_dir / "gcroots" / fmt::format("{}{}", id_.brief(), suffix);
}

void DeploymentRun::drop_old_roots() noexcept {
    try {
        std::filesystem::create_directories(world_.state_dir / "gcroots");
        for (const auto& entry : std::filesystem::directory_iterator(world_.state_dir / "gcroots"))
            if (!entry.path().filename().string().starts_with(id_.brief()))
                std::filesystem::remove(entry.path());
    } catch (const std::exception& error) {
        spdlog::warn("old GC roots were not removed: {}", error.what());
    }
}

} // namespace waggle::agent

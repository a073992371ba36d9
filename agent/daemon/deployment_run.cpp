#include "agent/daemon/deployment_run.hpp"

#include "agent/daemon/admission.hpp"
#include "agent/node/gc_roots.hpp"
#include "agent/node/operators.hpp"
#include "agent/node/specialisation.hpp"
#include "agent/secrets/bundle_files.hpp"
#include "agent/secrets/bundle_in_force.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "shared/net/connection.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace waggle::agent {

using protocol::DeploymentState;
using protocol::Goal;
using protocol::Outcome;

namespace {

constexpr std::chrono::seconds follow_retry{5};
constexpr std::chrono::seconds replay_time{60}; // in which a trigger reconnects to a restarted agent

} // namespace

DeploymentRun::DeploymentRun(Environment& environment, protocol::Deployment deployment, LastAdmitted admitted)
    : environment_(environment), id_(admitted.id), deployment_(std::move(deployment)),
      operator_key_(admitted.operator_key), admitted_(std::move(admitted)), events_(id_, environment.clock()) {}

namespace {

// An agent that was started while the activation ran belongs to the old system, or is restarted when the activation
// ends.
bool is_started_by_new_system(const Environment& environment, const DeploymentRecord& record) {
    return record.state == DeploymentState::activated && !record.outcome &&
           environment.host.boot_id() == record.boot_id && environment.host.current_system() == system_of(record);
}

// The trigger may not have received all output, because a rollback ends with a restart of the agent.
bool ended_just_now(const Environment& environment, const DeploymentRecord& record) {
    return record.outcome && DeploymentEvents::published_before(record) < record.state_log.size() &&
           environment.clock() - record.since < replay_time;
}

} // namespace

DeploymentRun::DeploymentRun(Environment& environment, const DeploymentRecord& record)
    : environment_(environment), id_(record.id), operator_key_(record.operator_key), events_(record),
      started_by_new_system_(is_started_by_new_system(environment, record)), activation_begun_(true) {
    deployment_.goal = record.goal;
    deployment_.toplevel = record.toplevel;
    fetched_.paths_done = record.fetched_paths;
    fetched_.bytes_done = record.fetched_bytes;
    if (!ended_just_now(environment, record))
        events_.publish(record);
}

protocol::Running DeploymentRun::running() const {
    return {.id = id_, .state = events_.state(), .since = events_.since(), .operator_key = operator_key_};
}

bool DeploymentRun::has_ended() const {
    if (events_.ended())
        return true;
    const auto record = environment_.state.get().deployment;
    return record && record->id == id_ && record->outcome;
}

void DeploymentRun::begin() {
    std::optional<DeploymentRecord> before;
    const auto write = [&](State& all) {
        before = all.deployment;
        all.operators = stored_operators(all); // the record that may hold them is replaced
        all.secrets = committed_bundle(all);
        all.last_admitted = admitted_;
        DeploymentRecord record;
        record.id = id_;
        record.goal = deployment_.goal;
        record.toplevel = deployment_.toplevel;
        record.rollback = deployment_.rollback;
        record.reboot = deployment_.reboot;
        record.remove_agent = deployment_.remove_agent;
        record.install_boot_loader = deployment_.install_boot_loader;
        record.since = events_.since();
        record.state_log = {{DeploymentState::received, record.since}};
        record.operator_key = operator_key_;
        all.deployment = std::move(record);
    };
    State state;
    try {
        state = environment_.state.change(write);
    } catch (const std::exception& error) {
        // The record may exist nevertheless, without being synced. Then nothing else would ever end it.
        if (const auto record = environment_.state.get().deployment; record && record->id == id_)
            give_up(
                StateEvent::give_up,
                {.outcome = Outcome::failed_before_activation, .code = "state-not-written", .message = error.what()});
        throw;
    }
    spdlog::info("deployment {}: {} to {}, signed by {}", id_.brief(), to_string(deployment_.goal),
                 deployment_.toplevel ? deployment_.toplevel->absolute() : "no system", operator_key_);
    events_.publish(*state.deployment);
    if (before && before->state == DeploymentState::awaiting_reboot && before->toplevel)
        events_.note(environment_.clock(),
                     fmt::format("cancelled the pending one-time boot of {}", before->toplevel->base_name()));
}

void DeploymentRun::take(StateEvent event, const std::function<void(DeploymentRecord&)>& edit,
                         const std::function<void(State&)>& edit_others) {
    const Time now = environment_.clock();
    const auto state = environment_.state.change([&](State& all) {
        if (!all.deployment || all.deployment->id != id_)
            throw Error("the record of the deployment is gone");
        all.deployment->fetched_paths = fetched_.paths_done;
        all.deployment->fetched_bytes = fetched_.bytes_done;
        if (edit)
            edit(*all.deployment);
        if (edit_others)
            edit_others(all);
        advance(*all.deployment, event, now);
    });
    events_.publish(*state.deployment);
}

// Ends the deployment before anything was activated.
void DeploymentRun::give_up(StateEvent event, const Ending& ending) {
    try {
        take(event, [&](DeploymentRecord& record) { agent::end(record, ending); });
    } catch (const std::exception& error) {
        // The trigger still receives the result. A restarted agent ends the deployment again.
        spdlog::error("the end of deployment {} was not written: {}", id_.brief(), error.what());
        DeploymentRecord record;
        record.id = id_;
        record.state = DeploymentState::failed;
        record.since = environment_.clock();
        record.fetched_paths = fetched_.paths_done;
        record.fetched_bytes = fetched_.bytes_done;
        agent::end(record, ending);
        events_.publish(record);
    }
}

void DeploymentRun::on_progress(const FetchProgress& progress) {
    fetched_ = progress;
    events_.progress(environment_.clock(), progress);
}

bool DeploymentRun::unchanged() const {
    if (deployment_.goal != Goal::switch_ && deployment_.goal != Goal::boot && deployment_.goal != Goal::test)
        return false;
    if (deployment_.install_boot_loader)
        return false;
    return runs_already() && (deployment_.goal == Goal::test || environment_.host.profile() == deployment_.toplevel);
}

bool DeploymentRun::runs_already() const {
    const auto& toplevel = *deployment_.toplevel;
    const auto current = environment_.host.current_system();
    if (deployment_.goal == Goal::boot || environment_.host.specialisations(toplevel).empty())
        return current == toplevel;
    try {
        return current ==
               choose_specialisation(environment_.host, toplevel, deployment_.specialisation).system.value_or(toplevel);
    } catch (const NotActivated&) {
        return false; // reported once everything is in the store
    }
}

bool DeploymentRun::prepare(std::unique_ptr<NodeStore> store, Feed& feed) {
    const auto failed = [&](Outcome outcome, std::string code, std::string message) {
        give_up(StateEvent::give_up, {.outcome = outcome, .code = std::move(code), .message = std::move(message)});
        return false;
    };
    try {
        store->watch_waits(cancel_, [&](const std::string& text) { events_.note(environment_.clock(), text); });
        return fetch_and_stage(std::move(store), feed);
    } catch (const NotActivated& error) {
        return failed(error.outcome(), error.code(), error.what());
    } catch (const Interrupted&) {
        return failed(Outcome::interrupted, "cancelled", "stopped by the operator before the activation");
    } catch (const net::ConnectionLost& error) {
        return failed(
            Outcome::failed_before_activation, "session-lost",
            fmt::format("the session was lost while fetching ({}); fetched paths are kept; run apply again to resume",
                        error.what()));
    } catch (const nix::DaemonError& error) {
        const auto failure = store_failure(error);
        return failed(Outcome::failed_before_activation, failure.code, failure.message);
    } catch (const std::exception& error) {
        return failed(Outcome::failed_before_activation, "fetch-failed", error.what());
    }
}

bool DeploymentRun::fetch_and_stage(std::unique_ptr<NodeStore> store, Feed& feed) {
    const auto end_unchanged = [&] {
        give_up(StateEvent::unchanged, {.outcome = Outcome::unchanged,
                                        .code = "",
                                        .message = "the node already runs this system",
                                        .generation = environment_.host.profile_generation()});
        return false;
    };
    const bool any_content = deployment_.local_content == protocol::LocalContent::trust_node;
    if (deployment_.secrets.keep && any_content && unchanged())
        return end_unchanged(); // does not request the closure list
    if (sets_profile(deployment_.goal))
        check_boot_space(deployment_.boot_files, environment_.host.boot_space());

    take(StateEvent::fetch);
    const auto bundle = receive_bundle(feed);
    if (!deployment_.toplevel || (any_content && unchanged()))
        return stage(bundle, true);
    const auto& toplevel = *deployment_.toplevel;
    const auto list = receive_closure_list(*deployment_.closure, toplevel, feed);
    if (sets_profile(deployment_.goal))
        environment_.archive.keep_list(id_, to_text(list));
    UnsyncedPaths unsynced(environment_.state_dir / "unsynced", environment_.host.boot_id());
    fetched_ = fetch(list, *store, feed, unsynced,
                     {.local_content = deployment_.local_content,
                      .free_bytes = environment_.host.free_store_bytes(),
                      .on_progress = [&](const FetchProgress& now) { on_progress(now); },
                      .on_note = [&](const std::string& text) { events_.note(environment_.clock(), text); }});
    if (unchanged())
        return bundle ? stage(bundle, true) : end_unchanged();
    GcRoots(environment_.state_dir).add(*store, id_, toplevel, environment_.host.current_system(), own_package());
    store.reset();

    if (activates(deployment_.goal) && !environment_.host.is_system(toplevel))
        throw NotActivated(Outcome::failed_before_activation, "not-a-system",
                           fmt::format("{} has no bin/switch-to-configuration", toplevel.absolute()));
    if (const auto room = environment_.host.boot_space(); room && sets_profile(deployment_.goal))
        check_boot_space(environment_.host.boot_files(toplevel, room->device_trees), room);
    if (activates(deployment_.goal) && deployment_.goal != Goal::boot) {
        auto choice = choose_specialisation(environment_.host, toplevel, deployment_.specialisation);
        if (!choice.note.empty())
            events_.note(environment_.clock(), choice.note);
        target_ = std::move(choice.system);
    }
    if (activates(deployment_.goal))
        check_operators_and_agent();
    return stage(bundle, false);
}

std::optional<BundleRef> DeploymentRun::receive_bundle(Feed& feed) {
    if (deployment_.secrets.keep)
        return std::nullopt;
    const BundleFiles files(environment_.state_dir);
    auto bundle =
        files.receive(id_, deployment_.sequence, deployment_.secrets, [&] { return feed.next_bundle_piece(); });
    bundle.hive = deployment_.hive; // the new system may give the node another name
    bundle.node = deployment_.node;
    std::vector<protocol::DeploymentId> wanted{id_};
    if (const auto committed = environment_.state.get().secrets)
        wanted.push_back(committed->id);
    files.keep_only(wanted);
    return bundle;
}

bool DeploymentRun::stage(const std::optional<BundleRef>& bundle, bool secrets_only) {
    const bool activate = secrets_only || activates(deployment_.goal);
    take(
        StateEvent::stage,
        [&](DeploymentRecord& record) {
            record.bundle = bundle;
            record.secrets_only = secrets_only;
            record.next_operators = next_operators_;
            if (!activate)
                agent::end(record, {});
        },
        [&](State& all) {
            if (operators_)
                all.operators = operators_;
        });
    return activate;
}

void DeploymentRun::check_operators_and_agent() {
    const auto refused = [](const protocol::Refused& refusal) {
        return NotActivated(Outcome::refused, refusal.code, refusal.message);
    };
    const auto& toplevel = *deployment_.toplevel;
    std::optional<NextAgent> next;
    try {
        next = environment_.host.agent_in(toplevel);
    } catch (const Error& error) {
        throw refused(
            {"agent-configuration",
             fmt::format("the new system's agent has a configuration that cannot be read: {}", error.what())});
    }
    // The new agent would find no record of the deployment that has started it, and roll back.
    if (next && next->state_dir && *next->state_dir != environment_.state_dir)
        throw refused(
            {"state-directory",
             fmt::format("the new system keeps the agent's state in {}, and this one in {}, so its agent would "
                         "not know this deployment: copy that folder, with its permissions, and switch with "
                         "nixos-rebuild on the node; or leave services.waggle-agent.stateDir as it is",
                         next->state_dir->string(), environment_.state_dir.string())});
    const auto now = operators_of(environment_.state.get(), environment_.configured);
    const auto then =
        next ? std::optional(operators_after_commit(now, next->operators, was_here_before())) : std::nullopt;
    if (const auto refusal = check_system(deployment_, then, operator_key_))
        throw refused(*refusal);
    if (!then)
        return;
    for (const auto& key : next->operators)
        if (std::ranges::find(then->removed, key) != then->removed.end())
            events_.note(environment_.clock(),
                         fmt::format("{} was removed by a later configuration and stays removed", key.fingerprint()));
    operators_ = now;
    next_operators_ = then;
}

bool DeploymentRun::was_here_before() const {
    const auto& toplevel = *deployment_.toplevel;
    return environment_.host.is_generation(toplevel) ||
           std::ranges::any_of(environment_.archive.history(Archive::max_entries), [&](const auto& entry) {
               return entry.generation && entry.toplevel == toplevel.absolute();
           });
}

void DeploymentRun::activate(const Interrupt& interrupt) {
    try {
        {
            const std::lock_guard lock(mutex_);
            if (cancelled())
                throw Interrupted("cancelled");
            activation_begun_ = true; // from here on a cancel comes too late
        }
        environment_.units.disarm(); // what an earlier deployment may have left
        const auto current = environment_.host.current_system();
        const auto failed_units = environment_.host.failed_units();
        take(StateEvent::activate, [&](DeploymentRecord& record) {
            record.previous_system = current;
            record.previous_profile = environment_.host.profile();
            record.previous_profile_link = environment_.host.profile_link();
            record.agent = own_program();
            record.config = environment_.config_file.string();
            record.boot_id = environment_.host.boot_id();
            record.failed_units = failed_units;
            record.target = target_;
        });
        start_units();
    } catch (const Interrupted&) {
        return give_up(StateEvent::give_up, {.outcome = Outcome::interrupted,
                                             .code = "cancelled",
                                             .message = "stopped by the operator before the activation"});
    } catch (const std::exception& error) {
        // A transition that could not be synced may have been written.
        const auto record = environment_.state.get().deployment;
        const bool begun = record && record->state == DeploymentState::activating;
        return give_up(
            begun ? StateEvent::nothing_activated : StateEvent::give_up,
            {.outcome = Outcome::failed_before_activation, .code = "activation-not-started", .message = error.what()});
    }
    follow(interrupt);
}

void DeploymentRun::start_units() {
    const auto record = *environment_.state.get().deployment;
    const bool goes_back = record.secrets_only || record.goal == Goal::switch_ || record.goal == Goal::test;
    if (goes_back && record.rollback.enable)
        environment_.units.arm_activation_timer(record);
    environment_.units.start_activation(record);
}

void DeploymentRun::follow(const Interrupt& interrupt) {
    const auto on_line = [&](std::string_view line) { events_.log(environment_.clock(), line); };
    while (!events_.ended()) {
        try {
            auto last = look(true);
            environment_.units.watch(
                last, on_line,
                [&](bool working) {
                    last = look(working);
                    return last.outcome.has_value();
                },
                interrupt);
            events_.publish(last); // after the units' remaining output
        } catch (const Interrupted&) {
            // An activation may end with a restart of this agent. By then it has recorded the outcome, which is
            // published here.
            if (const auto record = environment_.state.get().deployment; record && record->id == id_ && record->outcome)
                events_.publish(*record);
            throw;
        } catch (const std::exception& error) {
            spdlog::error("following deployment {}: {}", id_.brief(), error.what());
            interrupt.wait(follow_retry);
        }
    }
    if (events_.state() == DeploymentState::committed)
        if (const auto record = environment_.state.get().deployment; record && !record->secrets_only)
            GcRoots(environment_.state_dir).tidy(*record, environment_.host, environment_.clock());
}

// Returns the record that the units have written. Resumes an unfinished deployment that no unit is working on.
DeploymentRecord DeploymentRun::look(bool working) {
    auto record = environment_.state.get().deployment;
    if (!record || record->id != id_) {
        // The record was set aside at the console or is unreadable, so there is nothing to wait for.
        record.emplace();
        record->id = id_;
        record->state = DeploymentState::failed;
        record->since = environment_.clock();
        agent::end(*record, {.outcome = Outcome::unknown,
                             .code = "forgotten",
                             .message = "this node's record of the deployment is gone: check which system it runs"});
    }
    if (record->outcome)
        return std::move(*record);
    events_.publish(*record);
    if (!working && is_stuck(*record)) {
        spdlog::warn("deployment {} is {} but has no running unit; resuming it", id_.brief(), to_string(record->state));
        environment_.units.start_recovery(*record, RecoveryCause::agent);
    }
    return std::move(*record);
}

bool DeploymentRun::is_stuck(const DeploymentRecord& record) const {
    switch (restart_rule(record.state)) {
    case RestartRule::roll_back:
    case RestartRule::inspect_boot:
    case RestartRule::finish: return true;
    case RestartRule::await_confirmation:
        return environment_.host.boot_id() != record.boot_id || environment_.host.current_system() != system_of(record);
    default: return false;
    }
}

void DeploymentRun::resume(const Interrupt& interrupt) {
    if (events_.ended())
        return;
    const auto record = environment_.state.get().deployment;
    if (record && !record->outcome && restart_rule(record->state) == RestartRule::give_up)
        return give_up(
            StateEvent::give_up,
            {.outcome = Outcome::failed_before_activation,
             .code = "agent-restarted",
             .message =
                 "the agent was restarted before the activation; fetched paths are kept; run apply again to resume"});
    spdlog::info("deployment {} was {} when this agent was started", id_.brief(), to_string(events_.state()));
    follow(interrupt);
}

bool DeploymentRun::awaits_confirmation() const {
    return started_by_new_system_ && !confirmed_ && events_.state() == DeploymentState::activated && !events_.ended();
}

void DeploymentRun::confirm() {
    if (confirmed_.exchange(true))
        return;
    try {
        const auto record = environment_.state.get().deployment;
        if (record && record->id == id_)
            environment_.units.start_commit(*record);
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
            cancel_.request();
    }
    if (too_late)
        events_.note(environment_.clock(), "the activation has begun and runs to its end");
}

} // namespace waggle::agent

#include "agent/daemon/deployment_run.hpp"

#include "agent/daemon/follow.hpp"
#include "agent/daemon/prepare.hpp"
#include "agent/node/operators.hpp"
#include "agent/secrets/bundle_in_force.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <exception>
#include <optional>
#include <utility>

namespace waggle::agent {

using protocol::DeploymentState;
using protocol::Goal;
using protocol::Outcome;

namespace {

constexpr std::chrono::seconds replay_time{60}; // in which a trigger reconnects to a restarted agent

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

void start_units(TransientUnits& units, const DeploymentRecord& record) {
    const bool goes_back = record.secrets_only || record.goal == Goal::switch_ || record.goal == Goal::test;
    if (goes_back && record.rollback.enable)
        units.arm_activation_timer(record);
    units.start_activation(record);
}

} // namespace

DeploymentRun::DeploymentRun(const Environment& environment, protocol::Deployment deployment, LastAdmitted admitted)
    : environment_(environment), id_(admitted.id), deployment_(std::move(deployment)),
      operator_key_(admitted.operator_key), admitted_(std::move(admitted)), events_(id_, environment.clock()) {}

DeploymentRun::DeploymentRun(const Environment& environment, const DeploymentRecord& record)
    : environment_(environment), id_(record.id), operator_key_(record.operator_key), events_(record),
      started_by_new_system_(is_started_by_new_system(environment, record)), activation_begun_(true) {
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
    events_.publish(state.require_deployment());
    if (before && before->state == DeploymentState::awaiting_reboot && before->toplevel)
        events_.note(environment_.clock(),
                     fmt::format("cancelled the pending one-time boot of {}", before->toplevel->base_name()));
}

DeploymentRecord DeploymentRun::take(StateEvent event, const std::function<void(DeploymentRecord&, State&)>& edit) {
    const Time now = environment_.clock();
    auto state = environment_.state.change([&](State& all) {
        auto& record = all.require_deployment();
        if (record.id != id_)
            throw Error("the record of the deployment is gone");
        record.fetched_paths = fetched_.paths_done;
        record.fetched_bytes = fetched_.bytes_done;
        if (edit)
            edit(record, all);
        advance(record, event, now);
    });
    events_.publish(state.require_deployment());
    return std::move(state.require_deployment());
}

void DeploymentRun::give_up(StateEvent event, const Ending& ending) {
    try {
        take(event, [&](DeploymentRecord& record, State&) { agent::end(record, ending); });
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

bool DeploymentRun::prepare(std::unique_ptr<NodeStore> store, Feed& feed) {
    const PreparationReports reports{
        .on_fetch = [this] { take(StateEvent::fetch); },
        .on_progress =
            [this](const FetchProgress& progress) {
                fetched_ = progress;
                events_.progress(environment_.clock(), progress);
            },
        .on_fetched = [this](const FetchProgress& all) { fetched_ = all; },
        .on_note = [this](const std::string& sentence) { events_.note(environment_.clock(), sentence); },
    };
    try {
        store->watch_waits(cancel_, reports.on_note);
        if (const auto prepared = agent::prepare(environment_, deployment_, admitted_, std::move(store), feed, reports))
            return stage(*prepared);
        give_up(StateEvent::unchanged, {.outcome = Outcome::unchanged,
                                        .code = "",
                                        .message = "the node already runs this system",
                                        .generation = environment_.host.profile_generation()});
    } catch (const std::exception&) {
        give_up(StateEvent::give_up, ending_of_failed_preparation());
    }
    return false;
}

bool DeploymentRun::stage(const Prepared& prepared) {
    const bool activate = prepared.secrets_only || activates(deployment_.goal);
    take(StateEvent::stage, [&](DeploymentRecord& record, State& all) {
        record.bundle = prepared.bundle;
        record.secrets_only = prepared.secrets_only;
        if (prepared.operators) {
            record.next_operators = prepared.operators->next;
            all.operators = prepared.operators->now;
        }
        if (!activate)
            agent::end(record, {});
    });
    target_ = prepared.target;
    return activate;
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
        const auto started = take(StateEvent::activate, [&](DeploymentRecord& record, State&) {
            record.previous_system = current;
            record.previous_profile = environment_.host.profile();
            record.previous_profile_link = environment_.host.profile_link();
            record.agent = own_program();
            record.config = environment_.config_file.string();
            record.boot_id = environment_.host.boot_id();
            record.failed_units = failed_units;
            record.target = target_;
        });
        start_units(environment_.units, started);
    } catch (const Interrupted&) {
        return give_up(StateEvent::give_up, ending_of_cancelled());
    } catch (const std::exception& error) {
        // A transition that could not be synced may have been written.
        const auto record = environment_.state.get().deployment;
        const bool begun = record && record->state == DeploymentState::activating;
        return give_up(
            begun ? StateEvent::nothing_activated : StateEvent::give_up,
            {.outcome = Outcome::failed_before_activation, .code = "activation-not-started", .message = error.what()});
    }
    follow(environment_, id_, events_, interrupt);
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
    follow(environment_, id_, events_, interrupt);
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

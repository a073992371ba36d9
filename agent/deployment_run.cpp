#include "agent/deployment_run.hpp"

#include "shared/base/error.hpp"
#include "shared/net/connection.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

namespace waggle::agent {

using protocol::DeploymentState;
using protocol::Event;
using protocol::Goal;
using protocol::Outcome;

namespace {

constexpr size_t max_result_message_bytes = 8 << 10;

// The last state of a deployment whose activation ended so.
DeploymentState last_state(Goal goal, Outcome outcome) {
    switch (outcome) {
    case Outcome::ok:
    case Outcome::ok_units_failed:
        if (goal == Goal::dry_activate)
            return DeploymentState::staged;
        return sets_profile(goal) ? DeploymentState::committed : DeploymentState::activated;
    case Outcome::rolled_back: return DeploymentState::rolled_back;
    default: return DeploymentState::failed;
    }
}

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

DeploymentRun::DeploymentRun(World& world, const DeploymentRecord& record)
    : world_(world), id_(record.id), operator_key_(record.operator_key), state_(record.state), since_(record.since),
      activation_begun_(true) {
    deployment_.goal = record.goal;
    deployment_.toplevel = record.toplevel;
    fetched_.paths_done = record.fetched_paths;
    fetched_.bytes_done = record.fetched_bytes;
    if (record.outcome)
        events_.end(result_of(record));
}

protocol::Running DeploymentRun::running() const {
    const std::lock_guard lock(mutex_);
    return {.id = id_, .state = state_, .since = since_, .operator_key = operator_key_};
}

void DeploymentRun::begin() {
    world_.state.change([&](State& state) {
        state.last_admitted = LastAdmitted{
            .id = id_, .sequence = deployment_.sequence, .created = deployment_.created, .operator_key = operator_key_};
        state.deployment = DeploymentRecord{};
        state.deployment->id = id_;
        state.deployment->goal = deployment_.goal;
        state.deployment->toplevel = deployment_.toplevel;
        state.deployment->state = DeploymentState::received;
        state.deployment->since = since_;
        state.deployment->operator_key = operator_key_;
    });
    events_.add(new_event(since_, Event::Kind::state, DeploymentState::received));
    spdlog::info("deployment {}: {} to {}, signed by {}", id_.brief(), to_string(deployment_.goal),
                 deployment_.toplevel->absolute(), operator_key_);
}

void DeploymentRun::enter(DeploymentState state) {
    const Time now = world_.clock();
    world_.state.change([&](State& all) {
        all.deployment->state = state;
        all.deployment->since = now;
        all.deployment->fetched_paths = fetched_.paths_done;
        all.deployment->fetched_bytes = fetched_.bytes_done;
    });
    {
        const std::lock_guard lock(mutex_);
        state_ = state;
        since_ = now;
    }
    events_.add(new_event(now, Event::Kind::state, state));
    spdlog::info("deployment {}: {}", id_.brief(), to_string(state));
}

void DeploymentRun::end(DeploymentState state, Outcome outcome, std::string code, std::string message,
                        std::optional<std::uint64_t> generation) {
    if (message.size() > max_result_message_bytes)
        message.resize(max_result_message_bytes);
    const Time now = world_.clock();
    try {
        world_.state.change([&](State& all) {
            all.deployment->state = state;
            all.deployment->since = now;
            all.deployment->outcome = outcome;
            all.deployment->code = code;
            all.deployment->message = message;
            all.deployment->generation = generation;
            all.deployment->fetched_paths = fetched_.paths_done;
            all.deployment->fetched_bytes = fetched_.bytes_done;
        });
    } catch (const std::exception& error) {
        // The trigger hears how it ended all the same; a restarted agent finds out again.
        spdlog::error("the end of deployment {} was not written: {}", id_.brief(), error.what());
    }
    {
        const std::lock_guard lock(mutex_);
        state_ = state;
        since_ = now;
    }
    events_.add(new_event(now, Event::Kind::state, state));
    spdlog::info("deployment {}: {}{}{}", id_.brief(), to_string(outcome), message.empty() ? "" : ": ", message);
    events_.end({.id = id_,
                 .outcome = outcome,
                 .code = std::move(code),
                 .message = std::move(message),
                 .generation = generation,
                 .fetched_paths = fetched_.paths_done,
                 .fetched_bytes = fetched_.bytes_done});
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
        end(DeploymentState::failed, outcome, std::move(code), std::move(message));
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
    const auto& toplevel = *deployment_.toplevel;
    const auto end_unchanged = [&] {
        end(DeploymentState::committed, Outcome::unchanged, "", "the node already runs this system",
            world_.host.profile_generation());
        return false;
    };
    const bool any_content = deployment_.local_content == protocol::LocalContent::trust_node;
    if (any_content && unchanged())
        return end_unchanged(); // the closure list that follows is not asked for

    enter(DeploymentState::fetching);
    const auto list = receive_closure_list(*deployment_.closure, toplevel, feed);
    fetched_ = fetch(list, *store, feed,
                     {.local_content = deployment_.local_content,
                      .free_bytes = world_.host.free_store_bytes(),
                      .on_progress = [&](const FetchProgress& now) { progress(now); },
                      .on_note = [&](const std::string& text) { note(text); }});
    if (unchanged())
        return end_unchanged();
    store->add_root(root_link(), toplevel);
    const auto previous = world_.host.current_system();
    if (previous && *previous != toplevel)
        store->add_root(previous_root_link(), *previous);
    store.reset();

    if (activates(deployment_.goal) && !world_.host.is_system(toplevel))
        throw Stopped(Outcome::failed_before_activation, "not-a-system",
                      fmt::format("{} has no bin/switch-to-configuration", toplevel.absolute()));
    enter(DeploymentState::staged);
    if (activates(deployment_.goal))
        return true;
    end(DeploymentState::staged, Outcome::ok, "", "");
    return false;
}

void DeploymentRun::activate(const Interrupt& interrupt) {
    try {
        start_activation();
    } catch (const Interrupted&) {
        end(DeploymentState::failed, Outcome::interrupted, "cancelled",
            "stopped by the operator before the activation");
        return;
    } catch (const std::exception& error) {
        end(DeploymentState::failed, Outcome::failed_before_activation, "activation-not-started", error.what());
        return;
    }
    await_activation(interrupt);
}

void DeploymentRun::start_activation() {
    {
        const std::lock_guard lock(mutex_);
        if (cancelled_)
            throw Interrupted("cancelled");
        activation_begun_ = true; // from here on a cancel comes too late
    }
    const auto current = world_.host.current_system();
    const auto profile = world_.host.profile();
    world_.state.change([&](State& all) {
        all.deployment->previous_system = current;
        all.deployment->previous_profile = profile;
    });
    enter(DeploymentState::activating);
    world_.activation.start(
        {.id = id_, .goal = deployment_.goal, .toplevel = *deployment_.toplevel, .rollback = deployment_.rollback});
}

void DeploymentRun::await_activation(const Interrupt& interrupt) {
    try {
        const auto on_line = [&](std::string_view line) {
            events_.add(new_event(world_.clock(), Event::Kind::log, DeploymentState::activating,
                                  std::string(line.substr(0, EventLog::max_text_bytes + 1))));
        };
        const auto report = world_.activation.await(id_, running().since, on_line, interrupt);
        if (report) {
            conclude(*report);
            return;
        }
        const auto current = world_.host.current_system();
        end(DeploymentState::failed, Outcome::unknown, "activation-lost",
            fmt::format("the activation was cut off (the node was rebooted or lost power); the node now runs {}",
                        current ? current->absolute() : "no known system"));
    } catch (const Interrupted&) {
        throw;
    } catch (const std::exception& error) {
        end(DeploymentState::failed, Outcome::unknown, "activation-lost",
            fmt::format("how the activation ended could not be found out: {}", error.what()));
    }
}

void DeploymentRun::conclude(const ActivationReport& report) {
    const auto outcome = report.outcome.value_or(Outcome::unknown);
    const auto last = last_state(deployment_.goal, outcome);
    if (last == DeploymentState::committed) {
        try {
            enter(DeploymentState::activated);
        } catch (const std::exception& error) {
            spdlog::error("{}", error.what()); // what was done is done, and is told
        }
    }
    end(last, outcome, report.code, report.message, report.generation);
    if (last == DeploymentState::committed)
        drop_old_roots();
}

void DeploymentRun::resume(const Interrupt& interrupt) {
    if (events_.ended())
        return;
    switch (running().state) {
    case DeploymentState::received:
    case DeploymentState::fetching:
    case DeploymentState::staged:
        end(DeploymentState::failed, Outcome::failed_before_activation, "agent-restarted",
            "the agent was restarted before the activation; what has arrived stays, apply again to go on");
        return;
    default:
        spdlog::info("deployment {} was being activated when the agent was restarted", id_.brief());
        await_activation(interrupt);
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

std::filesystem::path DeploymentRun::root_link() const {
    return world_.state_dir / "gcroots" / id_.brief();
}

std::filesystem::path DeploymentRun::previous_root_link() const {
    return world_.state_dir / "gcroots" / (id_.brief() + "-previous");
}

void DeploymentRun::drop_old_roots() noexcept {
    try {
        std::filesystem::create_directories(world_.state_dir / "gcroots");
        for (const auto& entry : std::filesystem::directory_iterator(world_.state_dir / "gcroots"))
            if (entry.path() != root_link() && entry.path() != previous_root_link())
                std::filesystem::remove(entry.path());
    } catch (const std::exception& error) {
        spdlog::warn("old GC roots were not removed: {}", error.what());
    }
}

} // namespace waggle::agent

#include "agent/daemon/follow.hpp"

#include "agent/node/gc_roots.hpp"
#include "agent/state/life.hpp"
#include "agent/state/record.hpp"
#include "shared/base/error.hpp"

#include <spdlog/spdlog.h>

#include <chrono>
#include <exception>
#include <optional>
#include <string_view>
#include <utility>

namespace waggle::agent {

namespace {

constexpr std::chrono::seconds follow_retry{5};

// The end of a deployment whose record was set aside at the console or is unreadable: there is nothing to wait for.
DeploymentRecord forgotten(const protocol::DeploymentId& id, Time now) {
    DeploymentRecord record;
    record.id = id;
    record.state = DeploymentState::failed;
    record.since = now;
    end(record, {.outcome = protocol::Outcome::unknown,
                 .code = "forgotten",
                 .message = "this node's record of the deployment is gone: check which system it runs"});
    return record;
}

// Whether an unfinished deployment that no unit works on can only continue with a recovery.
bool is_stuck(const DeploymentRecord& record, const Host& host) {
    switch (restart_rule(record.state)) {
    case RestartRule::roll_back:
    case RestartRule::inspect_boot:
    case RestartRule::finish: return true;
    case RestartRule::await_confirmation:
        return host.boot_id() != record.boot_id || host.current_system() != system_of(record);
    default: return false;
    }
}

// Returns the record that the units have written, which is published unless it has ended: the units' remaining output
// comes first then. Recovers a stuck deployment.
DeploymentRecord look(const Environment& environment, const protocol::DeploymentId& id, DeploymentEvents& events,
                      bool working) {
    auto record = environment.state.get().deployment;
    if (!record || record->id != id)
        return forgotten(id, environment.clock());
    if (record->outcome)
        return std::move(*record);
    events.publish(*record);
    if (!working && is_stuck(*record, environment.host)) {
        spdlog::warn("deployment {} is {} but has no running unit; resuming it", id.brief(), to_string(record->state));
        environment.units.start_recovery(*record, RecoveryCause::agent);
    }
    return std::move(*record);
}

// A committed system no longer needs the roots of older ones.
void release_roots_after_commit(const Environment& environment) {
    const auto record = environment.state.get().deployment;
    if (record && !record->secrets_only)
        GcRoots(environment.state_dir).tidy(*record, environment.host, environment.clock());
}

} // namespace

void follow(const Environment& environment, const protocol::DeploymentId& id, DeploymentEvents& events,
            const Interrupt& interrupt) {
    const auto on_line = [&](std::string_view line) { events.log(environment.clock(), line); };
    while (!events.ended()) {
        try {
            auto last = look(environment, id, events, true);
            environment.units.watch(
                last, on_line,
                [&](bool working) {
                    last = look(environment, id, events, working);
                    return last.outcome.has_value();
                },
                interrupt);
            events.publish(last); // after the units' remaining output
        } catch (const Interrupted&) {
            // An activation may end with a restart of this agent. By then it has recorded the outcome, which is
            // published here.
            if (const auto record = environment.state.get().deployment; record && record->id == id && record->outcome)
                events.publish(*record);
            throw;
        } catch (const std::exception& error) {
            spdlog::error("following deployment {}: {}", id.brief(), error.what());
            interrupt.wait(follow_retry);
        }
    }
    if (events.state() == DeploymentState::committed)
        release_roots_after_commit(environment);
}

} // namespace waggle::agent

#pragma once

#include "shared/protocol/messages.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace waggle::agent {

using protocol::DeploymentState;

// What can happen to a deployment.
enum class StateEvent {
    fetch,             // the agent requests the closure list
    unchanged,         // the node already has the desired state
    stage,             // everything is in the store
    give_up,           // the deployment cannot continue, and nothing was activated
    activate,          // the activation's unit is about to start
    dry_activated,     // the dry activation has printed its answer
    nothing_activated, // the new system refused before any change
    activated,         // the new system runs and is healthy
    boot_prepared,     // the boot loader starts the new system once at the next boot
    booted,            // the new system runs after a reboot and is healthy
    commit,            // the new system is confirmed or needs no confirmation
    committed,         // the profile and the boot loader are set
    fail,              // the activation, a health check or the commit failed, or no confirmation came in time
    reverted,          // the previous system runs again
    superseded,        // another process switched the node, which is left unchanged
    lost,              // the rollback failed or is in a loop
};
std::string_view to_string(StateEvent event);

struct Transition {
    DeploymentState from;
    StateEvent event;
    DeploymentState to;
};

// Every transition there is. docs/explanation/life.md has the same table; a test compares them.
inline constexpr std::array transitions = {
    Transition{DeploymentState::received, StateEvent::fetch, DeploymentState::fetching},
    Transition{DeploymentState::received, StateEvent::unchanged, DeploymentState::committed},
    Transition{DeploymentState::received, StateEvent::give_up, DeploymentState::failed},
    Transition{DeploymentState::fetching, StateEvent::unchanged, DeploymentState::committed},
    Transition{DeploymentState::fetching, StateEvent::stage, DeploymentState::staged},
    Transition{DeploymentState::fetching, StateEvent::give_up, DeploymentState::failed},
    Transition{DeploymentState::staged, StateEvent::activate, DeploymentState::activating},
    Transition{DeploymentState::staged, StateEvent::give_up, DeploymentState::failed},
    Transition{DeploymentState::activating, StateEvent::dry_activated, DeploymentState::staged},
    Transition{DeploymentState::activating, StateEvent::nothing_activated, DeploymentState::failed},
    Transition{DeploymentState::activating, StateEvent::activated, DeploymentState::activated},
    Transition{DeploymentState::activating, StateEvent::boot_prepared, DeploymentState::awaiting_reboot},
    Transition{DeploymentState::activating, StateEvent::commit, DeploymentState::committing},
    Transition{DeploymentState::activating, StateEvent::fail, DeploymentState::rolling_back},
    Transition{DeploymentState::activating, StateEvent::superseded, DeploymentState::failed},
    Transition{DeploymentState::activating, StateEvent::lost, DeploymentState::failed},
    Transition{DeploymentState::awaiting_reboot, StateEvent::booted, DeploymentState::activated},
    Transition{DeploymentState::awaiting_reboot, StateEvent::fail, DeploymentState::rolling_back},
    Transition{DeploymentState::awaiting_reboot, StateEvent::superseded, DeploymentState::failed},
    Transition{DeploymentState::activated, StateEvent::commit, DeploymentState::committing},
    Transition{DeploymentState::activated, StateEvent::fail, DeploymentState::rolling_back},
    Transition{DeploymentState::activated, StateEvent::superseded, DeploymentState::failed},
    Transition{DeploymentState::activated, StateEvent::lost, DeploymentState::failed},
    Transition{DeploymentState::committing, StateEvent::committed, DeploymentState::committed},
    Transition{DeploymentState::committing, StateEvent::fail, DeploymentState::rolling_back},
    Transition{DeploymentState::committing, StateEvent::superseded, DeploymentState::failed},
    Transition{DeploymentState::committing, StateEvent::lost, DeploymentState::failed},
    Transition{DeploymentState::rolling_back, StateEvent::fail, DeploymentState::rolling_back}, // again, after a reboot
    Transition{DeploymentState::rolling_back, StateEvent::reverted, DeploymentState::rolled_back},
    Transition{DeploymentState::rolling_back, StateEvent::superseded, DeploymentState::failed},
    Transition{DeploymentState::rolling_back, StateEvent::lost, DeploymentState::failed},
};

constexpr bool ends(DeploymentState state) {
    return state == DeploymentState::committed || state == DeploymentState::rolled_back ||
           state == DeploymentState::failed;
}

// Returns nullopt if the event cannot happen in this state.
std::optional<DeploymentState> next_state(DeploymentState from, StateEvent event);

// What to do with an unfinished deployment when an agent starts, or when one of its transient units has died.
enum class RestartRule {
    give_up,            // nothing was activated: end as failed; fetched paths stay for the next attempt
    roll_back,          // the activation was interrupted
    await_confirmation, // the new system awaits its confirmation; roll back if another system runs
    inspect_boot,       // continue if the new system was booted; otherwise roll back
    finish,             // commit if the new system runs; otherwise roll back
    none,               // the deployment has ended
};

struct RestartRow {
    DeploymentState state;
    RestartRule rule;
};
inline constexpr std::array restart_rules = {
    RestartRow{DeploymentState::received, RestartRule::give_up},
    RestartRow{DeploymentState::fetching, RestartRule::give_up},
    RestartRow{DeploymentState::staged, RestartRule::give_up},
    RestartRow{DeploymentState::activating, RestartRule::roll_back},
    RestartRow{DeploymentState::awaiting_reboot, RestartRule::inspect_boot},
    RestartRow{DeploymentState::activated, RestartRule::await_confirmation},
    RestartRow{DeploymentState::committing, RestartRule::finish},
    RestartRow{DeploymentState::committed, RestartRule::none},
    RestartRow{DeploymentState::rolling_back, RestartRule::roll_back},
    RestartRow{DeploymentState::rolled_back, RestartRule::none},
    RestartRow{DeploymentState::failed, RestartRule::none},
};
RestartRule restart_rule(DeploymentState state);

// A deployment with this many state changes is in a loop of reboots or rollbacks, and ends as failed. A legitimate one
// has at most ten; 28 is the limit that Mender uses.
inline constexpr size_t max_state_changes = 28;

} // namespace waggle::agent

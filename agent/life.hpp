#pragma once

#include "agent/state.hpp"
#include "shared/base/time.hpp"
#include "shared/protocol/messages.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace waggle::agent {

using protocol::DeploymentState;

// What can happen to a deployment.
enum class LifeEvent {
    fetch,             // the closure list is asked for
    unchanged,         // the node is already what it should be
    stage,             // everything is in the store
    give_up,           // it cannot be done, and nothing was activated
    activate,          // the activation's unit is about to be started
    dry_activated,     // it was said what would happen
    nothing_activated, // the new system refused before anything was touched
    activated,         // the new system runs and is healthy
    boot_prepared,     // the boot loader boots the new system next, once
    booted,            // it runs after a reboot, and is healthy
    commit,            // confirmed, or needs no confirmation: the decision for the new system
    committed,         // profile and boot loader are set
    fail,              // of the activation, a health check, the commit, or no confirmation in time
    reverted,          // the old system runs again
    superseded,        // somebody else switched the node: hands off
    lost,              // going back failed, or goes round in circles
};
std::string_view to_string(LifeEvent event);

struct Transition {
    DeploymentState from;
    LifeEvent event;
    DeploymentState to;
};

// Every transition there is. docs/life.md has the same table; a test compares them.
inline constexpr std::array transitions = {
    Transition{DeploymentState::received, LifeEvent::fetch, DeploymentState::fetching},
    Transition{DeploymentState::received, LifeEvent::unchanged, DeploymentState::committed},
    Transition{DeploymentState::received, LifeEvent::give_up, DeploymentState::failed},
    Transition{DeploymentState::fetching, LifeEvent::unchanged, DeploymentState::committed},
    Transition{DeploymentState::fetching, LifeEvent::stage, DeploymentState::staged},
    Transition{DeploymentState::fetching, LifeEvent::give_up, DeploymentState::failed},
    Transition{DeploymentState::staged, LifeEvent::activate, DeploymentState::activating},
    Transition{DeploymentState::staged, LifeEvent::give_up, DeploymentState::failed},
    Transition{DeploymentState::activating, LifeEvent::dry_activated, DeploymentState::staged},
    Transition{DeploymentState::activating, LifeEvent::nothing_activated, DeploymentState::failed},
    Transition{DeploymentState::activating, LifeEvent::activated, DeploymentState::activated},
    Transition{DeploymentState::activating, LifeEvent::boot_prepared, DeploymentState::awaiting_reboot},
    Transition{DeploymentState::activating, LifeEvent::commit, DeploymentState::committing},
    Transition{DeploymentState::activating, LifeEvent::fail, DeploymentState::rolling_back},
    Transition{DeploymentState::activating, LifeEvent::superseded, DeploymentState::failed},
    Transition{DeploymentState::activating, LifeEvent::lost, DeploymentState::failed},
    Transition{DeploymentState::awaiting_reboot, LifeEvent::booted, DeploymentState::activated},
    Transition{DeploymentState::awaiting_reboot, LifeEvent::fail, DeploymentState::rolling_back},
    Transition{DeploymentState::awaiting_reboot, LifeEvent::superseded, DeploymentState::failed},
    Transition{DeploymentState::activated, LifeEvent::commit, DeploymentState::committing},
    Transition{DeploymentState::activated, LifeEvent::fail, DeploymentState::rolling_back},
    Transition{DeploymentState::activated, LifeEvent::superseded, DeploymentState::failed},
    Transition{DeploymentState::activated, LifeEvent::lost, DeploymentState::failed},
    Transition{DeploymentState::committing, LifeEvent::committed, DeploymentState::committed},
    Transition{DeploymentState::committing, LifeEvent::fail, DeploymentState::rolling_back},
    Transition{DeploymentState::committing, LifeEvent::superseded, DeploymentState::failed},
    Transition{DeploymentState::committing, LifeEvent::lost, DeploymentState::failed},
    Transition{DeploymentState::rolling_back, LifeEvent::fail, DeploymentState::rolling_back}, // again, after a reboot
    Transition{DeploymentState::rolling_back, LifeEvent::reverted, DeploymentState::rolled_back},
    Transition{DeploymentState::rolling_back, LifeEvent::superseded, DeploymentState::failed},
    Transition{DeploymentState::rolling_back, LifeEvent::lost, DeploymentState::failed},
};

bool ends(DeploymentState state); // committed, rolled_back, failed

// nullopt: that cannot happen in this state.
std::optional<DeploymentState> next_state(DeploymentState from, LifeEvent event);

// What becomes of a deployment that has not ended when an agent starts, or when a unit of its life is found dead.
enum class RestartRule {
    give_up,      // nothing was activated: failed, what has arrived stays for the next try
    roll_back,    // the activation did not come to its end
    await_word,   // the new system waits for its confirmation; another system than the new one: roll back
    look_at_boot, // the new system was booted: go on with it; any other: roll back
    finish,       // decided: commit, if the new system runs; else roll back
    none,         // has ended
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
    RestartRow{DeploymentState::awaiting_reboot, RestartRule::look_at_boot},
    RestartRow{DeploymentState::activated, RestartRule::await_word},
    RestartRow{DeploymentState::committing, RestartRule::finish},
    RestartRow{DeploymentState::committed, RestartRule::none},
    RestartRow{DeploymentState::rolling_back, RestartRule::roll_back},
    RestartRow{DeploymentState::rolled_back, RestartRule::none},
    RestartRow{DeploymentState::failed, RestartRule::none},
};
RestartRule restart_rule(DeploymentState state);

// A trail of this length is a loop (reboots, rollbacks that are tried again): it ends as failed. The longest honest one
// has ten states; mender's limit.
inline constexpr size_t max_trail = 28;

// Takes the step in the record and adds it to its trail. Throws Error for a step that is not in the table.
// A trail that is too long ends in `failed` with the outcome unknown, whatever was asked for.
void advance(DeploymentRecord& record, LifeEvent event, Time now);

// advance, and the deployment's last word with it.
struct Ending {
    protocol::Outcome outcome = protocol::Outcome::ok;
    std::string code;
    std::string message;
    std::optional<std::uint64_t> generation = std::nullopt;
};
void end(DeploymentRecord& record, const Ending& ending);

} // namespace waggle::agent

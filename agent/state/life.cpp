#include "agent/state/life.hpp"

#include "shared/base/enum_text.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace waggle::agent {

namespace {

constexpr EnumText<StateEvent, StateEvent::lost> event_texts({{
    {StateEvent::fetch, "fetch"},
    {StateEvent::unchanged, "unchanged"},
    {StateEvent::stage, "stage"},
    {StateEvent::give_up, "give-up"},
    {StateEvent::activate, "activate"},
    {StateEvent::nothing_activated, "nothing-activated"},
    {StateEvent::dry_activated, "dry-activated"},
    {StateEvent::activated, "activated"},
    {StateEvent::boot_prepared, "boot-prepared"},
    {StateEvent::booted, "booted"},
    {StateEvent::commit, "commit"},
    {StateEvent::committed, "committed"},
    {StateEvent::fail, "fail"},
    {StateEvent::reverted, "reverted"},
    {StateEvent::superseded, "superseded"},
    {StateEvent::lost, "lost"},
}});

static_assert(has_each_once(restart_rules, &RestartRow::state, DeploymentState::failed));

// In each state an event leads to one other state, and nothing leads out of a state that ends a deployment.
constexpr bool are_sound(std::span<const Transition> rows) {
    for (size_t i = 0; i < rows.size(); ++i) {
        if (ends(rows[i].from))
            return false;
        for (size_t other = 0; other < i; ++other) {
            if (rows[i].from == rows[other].from && rows[i].event == rows[other].event)
                return false;
        }
    }
    return true;
}
static_assert(are_sound(transitions));

constexpr bool can_happen(DeploymentState state, StateEvent event) {
    return std::ranges::any_of(transitions, [&](const Transition& t) { return t.from == state && t.event == event; });
}

// What a restarted agent does to a deployment can happen to it, and it does nothing exactly if the deployment has
// ended.
constexpr bool can_be_applied(const RestartRow& row) {
    const auto can = [&](StateEvent event) { return can_happen(row.state, event); };
    switch (row.rule) {
    case RestartRule::give_up: return can(StateEvent::give_up);
    case RestartRule::roll_back: return can(StateEvent::fail);
    case RestartRule::await_confirmation: return can(StateEvent::commit) && can(StateEvent::fail);
    case RestartRule::inspect_boot: return can(StateEvent::booted) && can(StateEvent::fail);
    case RestartRule::finish: return can(StateEvent::committed) && can(StateEvent::fail);
    case RestartRule::none: return ends(row.state);
    }
    return false;
}
static_assert(std::ranges::all_of(restart_rules, can_be_applied));

// Every deployment begins as received, so a state that nothing leads to from there would be dead.
constexpr bool is_each_state_reachable() {
    std::array<bool, restart_rules.size()> reached{};
    reached[static_cast<size_t>(DeploymentState::received)] = true;
    for (size_t round = 0; round < reached.size(); ++round)
        for (const Transition& t : transitions)
            if (reached[static_cast<size_t>(t.from)])
                reached[static_cast<size_t>(t.to)] = true;
    return std::ranges::all_of(reached, [](bool each) { return each; });
}
static_assert(is_each_state_reachable());

constexpr bool has_each_event() {
    for (size_t event = 0; event <= static_cast<size_t>(StateEvent::lost); ++event)
        if (std::ranges::find(transitions, static_cast<StateEvent>(event), &Transition::event) == transitions.end())
            return false;
    return true;
}
static_assert(has_each_event());

} // namespace

std::string_view to_string(StateEvent event) {
    return event_texts.to_string(event);
}

std::optional<DeploymentState> next_state(DeploymentState from, StateEvent event) {
    const auto row =
        std::ranges::find_if(transitions, [&](const Transition& t) { return t.from == from && t.event == event; });
    return row == transitions.end() ? std::nullopt : std::optional(row->to);
}

RestartRule restart_rule(DeploymentState state) {
    return row_of(restart_rules, &RestartRow::state, state).rule;
}

} // namespace waggle::agent

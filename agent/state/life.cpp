#include "agent/state/life.hpp"

#include "shared/base/enum_text.hpp"

#include <algorithm>
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

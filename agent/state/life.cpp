#include "agent/state/life.hpp"

#include <algorithm>

namespace waggle::agent {

namespace {

struct EventText {
    StateEvent event;
    std::string_view text;
};
constexpr std::array event_texts = {
    EventText{StateEvent::fetch, "fetch"},
    EventText{StateEvent::unchanged, "unchanged"},
    EventText{StateEvent::stage, "stage"},
    EventText{StateEvent::give_up, "give-up"},
    EventText{StateEvent::activate, "activate"},
    EventText{StateEvent::nothing_activated, "nothing-activated"},
    EventText{StateEvent::dry_activated, "dry-activated"},
    EventText{StateEvent::activated, "activated"},
    EventText{StateEvent::boot_prepared, "boot-prepared"},
    EventText{StateEvent::booted, "booted"},
    EventText{StateEvent::commit, "commit"},
    EventText{StateEvent::committed, "committed"},
    EventText{StateEvent::fail, "fail"},
    EventText{StateEvent::reverted, "reverted"},
    EventText{StateEvent::superseded, "superseded"},
    EventText{StateEvent::lost, "lost"},
};

} // namespace

std::string_view to_string(StateEvent event) {
    return std::ranges::find(event_texts, event, &EventText::event)->text;
}

std::optional<DeploymentState> next_state(DeploymentState from, StateEvent event) {
    const auto row =
        std::ranges::find_if(transitions, [&](const Transition& t) { return t.from == from && t.event == event; });
    return row == transitions.end() ? std::nullopt : std::optional(row->to);
}

RestartRule restart_rule(DeploymentState state) {
    return std::ranges::find(restart_rules, state, &RestartRow::state)->rule;
}

bool ends(DeploymentState state) {
    return state == DeploymentState::committed || state == DeploymentState::rolled_back ||
           state == DeploymentState::failed;
}

} // namespace waggle::agent

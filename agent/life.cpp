#include "agent/life.hpp"

#include "shared/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace waggle::agent {

namespace {

struct EventWord {
    LifeEvent event;
    std::string_view text;
};
constexpr std::array event_words = {
    EventWord{LifeEvent::fetch, "fetch"},
    EventWord{LifeEvent::unchanged, "unchanged"},
    EventWord{LifeEvent::stage, "stage"},
    EventWord{LifeEvent::give_up, "give-up"},
    EventWord{LifeEvent::activate, "activate"},
    EventWord{LifeEvent::nothing_activated, "nothing-activated"},
    EventWord{LifeEvent::dry_activated, "dry-activated"},
    EventWord{LifeEvent::activated, "activated"},
    EventWord{LifeEvent::boot_prepared, "boot-prepared"},
    EventWord{LifeEvent::booted, "booted"},
    EventWord{LifeEvent::commit, "commit"},
    EventWord{LifeEvent::committed, "committed"},
    EventWord{LifeEvent::fail, "fail"},
    EventWord{LifeEvent::reverted, "reverted"},
    EventWord{LifeEvent::superseded, "superseded"},
    EventWord{LifeEvent::lost, "lost"},
};

} // namespace

std::string_view to_string(LifeEvent event) {
    return std::ranges::find(event_words, event, &EventWord::event)->text;
}

std::optional<DeploymentState> next_state(DeploymentState from, LifeEvent event) {
    const auto row =
        std::ranges::find_if(transitions, [&](const Transition& t) { return t.from == from && t.event == event; });
    return row == transitions.end() ? std::nullopt : std::optional(row->to);
}

RestartRule restart_rule(DeploymentState state) {
    return std::ranges::find(restart_rules, state, &RestartRow::state)->rule;
}

void advance(DeploymentRecord& record, LifeEvent event, Time now) {
    auto next = next_state(record.state, event);
    if (!next)
        throw Error(fmt::format("deployment {} is {}: \"{}\" cannot happen to it", record.id.brief(),
                                to_string(record.state), to_string(event)));
    if (record.trail.size() + 1 >= max_trail && !ends(*next)) {
        next = DeploymentState::failed;
        end(record, {.outcome = protocol::Outcome::unknown,
                     .code = "loop",
                     .message = fmt::format("given up after {} steps that led nowhere", record.trail.size())});
    }
    record.state = *next;
    record.since = now;
    record.trail.push_back({*next, now});
}

bool ends(DeploymentState state) {
    return state == DeploymentState::committed || state == DeploymentState::rolled_back ||
           state == DeploymentState::failed;
}

void end(DeploymentRecord& record, const Ending& ending) {
    constexpr size_t max_message_bytes = 8 << 10;
    record.outcome = ending.outcome;
    record.code = ending.code;
    record.message = ending.message.substr(0, max_message_bytes);
    record.generation = ending.generation;
}

} // namespace waggle::agent

#include "agent/state/record.hpp"

#include "shared/base/error.hpp"

#include <fmt/format.h>

namespace waggle::agent {

void advance(DeploymentRecord& record, StateEvent event, Time now) {
    auto next = next_state(record.state, event);
    if (!next)
        throw Error(fmt::format("deployment {} is {}: \"{}\" cannot happen to it", record.id.brief(),
                                to_string(record.state), to_string(event)));
    if (record.state_log.size() + 1 >= max_state_changes && !ends(*next)) {
        next = DeploymentState::failed;
        end(record, {.outcome = protocol::Outcome::unknown,
                     .code = "loop",
                     .message = fmt::format("aborted: more than {} state changes (loop)", record.state_log.size())});
    }
    record.state = *next;
    record.since = now;
    record.state_log.push_back({*next, now});
}

void end(DeploymentRecord& record, const Ending& ending) {
    constexpr size_t max_message_bytes = 8 << 10;
    record.outcome = ending.outcome;
    record.code = ending.code;
    record.message = ending.message.substr(0, max_message_bytes);
    record.generation = ending.generation;
}

} // namespace waggle::agent

#pragma once

#include "agent/state/life.hpp"
#include "agent/state/state.hpp"
#include "shared/base/time.hpp"
#include "shared/protocol/outcome.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace waggle::agent {

// Changes the record's state by the table of transitions, and adds the new state to its log. Throws Error for an event
// that the table does not allow. A log that becomes too long ends the deployment as `failed` with the outcome unknown.
void advance(DeploymentRecord& record, StateEvent event, Time now);

// How a deployment ends.
struct Ending {
    protocol::Outcome outcome = protocol::Outcome::ok;
    std::string code;
    std::string message;
    std::optional<std::uint64_t> generation = std::nullopt;
};
// Writes the ending to the record; the state changes by advance().
void end(DeploymentRecord& record, const Ending& ending);

} // namespace waggle::agent

#pragma once

#include "agent/activation/judge.hpp"
#include "agent/activation/system_actions.hpp"

#include <optional>

namespace waggle::agent {

// Checks the system after a switch or a boot: its units, its health checks, and its units again until
// deployment.rollback.settleTime has passed. Returns nullopt to keep it, with any flaw noted in the record, otherwise
// the reason not to. Logs which units failed, and their last output.
std::optional<Problem> examine(SystemActions& actions);

} // namespace waggle::agent

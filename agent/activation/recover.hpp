#pragma once

#include "agent/activation/system_actions.hpp"
#include "agent/state/recovery_cause.hpp"

namespace waggle::agent {

// Brings an interrupted deployment to its end by the restart rules of agent/state/life.hpp. Does nothing to a
// deployment that has ended.
void recover(SystemActions& actions, RecoveryCause caller);

} // namespace waggle::agent

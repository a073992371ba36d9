#pragma once

#include "trigger/command/options.hpp"
#include "trigger/eval/schedule.hpp"

namespace waggle::trigger {

// Returns the limits that the command line sets, and otherwise those that suit this machine. Throws Error.
EvaluationLimits evaluation_limits(const SelectOptions& options);

} // namespace waggle::trigger

#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/protocol/deployment.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace waggle::agent {

// deployment.healthChecks on the node: after an activation in its unit, and for `waggle check-health`.
// Each check is repeated every `period` until it succeeds or its `timeout` is over; they run one after another.
struct HealthVerdict {
    bool healthy = true;
    std::string problem; // "http check \"nginx\": status 502 instead of 200, for 30 s"
};

// `say` gets a line for the journal per check. Never throws for a check that fails.
HealthVerdict run_health_checks(const protocol::HealthChecks& checks, const std::function<void(std::string_view)>& say);

} // namespace waggle::agent

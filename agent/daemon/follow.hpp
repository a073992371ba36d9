#pragma once

#include "agent/daemon/deployment_events.hpp"
#include "agent/daemon/environment.hpp"
#include "shared/base/interrupt.hpp"
#include "shared/protocol/deployment.hpp"

namespace waggle::agent {

// Publishes what the units of this deployment's activation write, up to its end and their remaining output. Starts a
// recovery if the deployment has not ended and no unit works on it. Throws Interrupted when the agent must stop; the
// deployment then continues without it.
void follow(const Environment& environment, const protocol::DeploymentId& id, DeploymentEvents& events,
            const Interrupt& interrupt);

} // namespace waggle::agent

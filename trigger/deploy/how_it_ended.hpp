#pragma once

#include "trigger/deploy/conversation.hpp"
#include "trigger/deploy/deploy_context.hpp"

#include <exception>
#include <optional>
#include <string>

namespace waggle::trigger {

// How a deployment ended for one node, as its report says it.
struct HowItEnded {
    protocol::Outcome outcome = protocol::Outcome::ok;
    std::string code = {};
    std::string message = {};
};

// A deployment that may have ended, and the progress that it made until then.
struct EndedDeployment {
    const DeployedNode& node;
    const Intent& intent;
    const DeploymentProgress& progress;
    bool interrupted = false; // the operator has asked to stop
};

// A node that was not reached, or turned the trigger away; nullopt: another failure.
std::optional<HowItEnded> how_no_session_began(const std::exception_ptr& failure);

// Whether the deployment may be past the point from which it continues on the node without us.
bool may_have_begun(const Intent& intent, const DeploymentProgress& progress);

// The agent has sent the result.
HowItEnded how_it_ended(const EndedDeployment& deployment, const protocol::Result& result);
// The trigger has stopped waiting for the result.
HowItEnded how_it_ended(const EndedDeployment& deployment, const Detached& left);
// An exception has ended the trigger's part.
HowItEnded how_it_ended(const EndedDeployment& deployment, const std::exception_ptr& failure);

} // namespace waggle::trigger

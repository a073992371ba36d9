#pragma once

#include "trigger/deploy/conversation.hpp"
#include "trigger/deploy/deploy_context.hpp"

#include <memory>
#include <string>

namespace waggle::trigger {

// The node did not build its system, for the reason that it reports.
class NotBuiltThere : public Error {
public:
    NotBuiltThere(std::string code, const std::string& message) : Error(message), code_(std::move(code)) {}
    const std::string& code() const { return code_; }

private:
    std::string code_;
};

// Lets the node build its new system, sends it the derivations and sources that it lacks, and returns the closure that
// it reports. That closure is signed for this node alone and sent to no other. Throws NotBuiltThere, RefusedByNode,
// Interrupted, and ConnectionLost if the build must be requested again.
std::shared_ptr<const Closure> build_on_target(const DeployedNode& node, Session& session, const DeployContext& context,
                                               DeploymentProgress& progress);

} // namespace waggle::trigger

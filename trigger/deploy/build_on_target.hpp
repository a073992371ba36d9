#pragma once

#include "trigger/deploy/conversation.hpp"

#include <memory>
#include <string>

namespace waggle::trigger {

// The node has not built its system, for the reason that it names.
class NotBuiltThere : public Error {
public:
    NotBuiltThere(std::string code, const std::string& message) : Error(message), code_(std::move(code)) {}
    const std::string& code() const { return code_; }

private:
    std::string code_;
};

// Has the node build the system that it is to get, with what it lacks for that from this machine's store, and returns
// the closure that it says it has now. Whatever that is, it is signed for this node alone and goes nowhere else. Throws
// NotBuiltThere, RefusedByNode, Interrupted, and ConnectionLost when the build has to be asked for again.
std::shared_ptr<const Closure> build_on_target(const DeployedNode& node, Session& session,
                                               const Surroundings& surroundings, DeploymentProgress& progress);

} // namespace waggle::trigger

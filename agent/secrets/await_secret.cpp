#include "agent/secrets/await_secret.hpp"

#include "shared/base/error.hpp"

#include <fmt/format.h>

namespace waggle::agent {

bool is_switching(const State& state) {
    const auto& newest = state.deployment;
    return newest && !newest->outcome && newest->state == protocol::DeploymentState::activating &&
           !newest->secrets_only;
}

void await_secret(const std::string& name, const AwaitActions& actions) {
    std::string said;
    while (true) {
        // Asked before the look: a deployment that begins its activation in mid-look brings secrets that were not
        // looked at.
        const bool switching = actions.is_switching();
        const auto look = actions.look();
        if (look.in_place)
            return;
        if (switching)
            throw Error(fmt::format("secret {}: {}", name, look.why));
        if (look.why != said)
            actions.say(fmt::format("waiting for secret {}: {}", name, look.why));
        said = look.why;
        actions.wait();
    }
}

} // namespace waggle::agent

#include "agent/secrets/wait_for_secret.hpp"

#include "shared/base/error.hpp"

#include <fmt/format.h>

namespace waggle::agent {

bool is_switching(const State& state, std::string_view boot_id) {
    const auto& newest = state.deployment;
    return newest && !newest->outcome && newest->state == protocol::DeploymentState::activating &&
           newest->boot_id == boot_id && !newest->secrets_only;
}

void wait_for_secret(const std::string& name, const AwaitActions& actions) {
    // A unit that waited before the switch began is not one of its units, and may continue to wait.
    const bool started_by_switch = actions.is_switching();
    std::string said;
    while (true) {
        const auto look = actions.look();
        if (look.in_place)
            return;
        if (started_by_switch)
            throw Error(fmt::format("secret {}: {}", name, look.why));
        if (look.why != said)
            actions.say(fmt::format("waiting for secret {}: {}", name, look.why));
        said = look.why;
        actions.wait();
    }
}

} // namespace waggle::agent

#pragma once

#include "agent/state/state.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace waggle::agent {

// Whether an activation is running in this boot: switch-to-configuration waits for the units that it starts.
bool is_switching(const State& state, std::string_view boot_id);

struct SecretLook {
    bool in_place = false;
    std::string why; // why it is not in place
};

// The external dependencies of the wait; tests substitute fakes.
struct AwaitActions {
    std::function<bool()> is_switching;
    std::function<SecretLook()> look; // installs the secret if possible
    std::function<void()> wait;       // until something may have changed
    std::function<void(std::string_view)> say;
};

// Waits without limit until the secret is in place, because units are ordered after <name>-key.service. During a switch
// it throws Error instead if the secret is missing: otherwise the switch would wait for this unit, and this unit for a
// later deployment.
void wait_for_secret(const std::string& name, const AwaitActions& actions);

} // namespace waggle::agent

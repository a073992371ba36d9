#pragma once

#include "agent/state.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace waggle::agent {

// Whether a system is activated just now, in this boot: switch-to-configuration waits for the units that it starts.
bool is_switching(const State& state, std::string_view boot_id);

struct SecretLook {
    bool in_place = false;
    std::string why; // it is not
};

// Where the outside world begins.
struct AwaitActions {
    std::function<bool()> is_switching;
    std::function<SecretLook()> look; // puts it in its place if it can
    std::function<void()> wait;       // until something may have changed since the last look
    std::function<void(std::string_view)> say;
};

// Returns when the secret is in its place, however long that takes: what is ordered after <name>-key.service waits.
// When it was started in mid-switch it throws Error if the secret is not there: the switch would wait for this unit,
// and this unit for a deployment after it.
void await_secret(const std::string& name, const AwaitActions& actions);

} // namespace waggle::agent

#pragma once

#include "agent/secrets/node_secrets.hpp"
#include "agent/state/state.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// The steps of a deployment or a rollback that install secrets.
enum class SecretsStep {
    before_activation, // those with uploadAt = "pre-activation"
    after_activation,  // all of them, with their owners; then restarts units
    back_before,       // the previous secrets, before the previous system is activated again
    back_after,        // the same afterwards; then restarts units
};

// The code of a deployment that is kept although a previous secret could not be removed.
inline constexpr auto secrets_left = "secrets-left";

// Installs secrets during a deployment. Remembers from one step to the next which units must be restarted.
class DeploymentSecrets {
public:
    DeploymentSecrets(StateKeeper& state, std::function<void(std::string_view)> say)
        : state_(state), say_(std::move(say)) {}

    // Returns whether a file was changed. Throws Error: before and after an activation with nothing changed, in a
    // rollback after doing everything that is possible.
    bool carry_out(SecretsStep step);

private:
    void note(const std::string& problem);

    StateKeeper& state_;
    std::function<void(std::string_view)> say_;
    std::vector<UnitChange> changes_;
};

} // namespace waggle::agent

#pragma once

#include "agent/secrets/node_secrets.hpp"
#include "agent/state.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// Where in a deployment, or on the way back, secrets are installed.
enum class SecretsStep {
    before_activation, // those with uploadAt = "pre-activation"
    after_activation,  // all, handed over to their owners; then units are restarted
    back_before,       // the predecessor's, before its system is activated again
    back_after,        // the same after it; then units are restarted
};

// The code of a deployment that is kept although a secret of before could not be removed.
inline constexpr auto secrets_left = "secrets-left";

// What the units of a deployment's life do with secrets. Remembers from one step to the next which units are to be
// restarted.
class DeploymentSecrets {
public:
    DeploymentSecrets(StateKeeper& state, std::function<void(std::string_view)> say)
        : state_(state), say_(std::move(say)) {}

    // Whether a file was changed. Throws Error: before and after an activation nothing was changed then; on the way
    // back all was done that can be.
    bool carry_out(SecretsStep step);

private:
    void note(const std::string& problem);

    StateKeeper& state_;
    std::function<void(std::string_view)> say_;
    std::vector<UnitChange> changes_;
};

} // namespace waggle::agent

#pragma once

#include "agent/state.hpp"

#include <optional>
#include <string_view>

namespace waggle::agent {

// The bundle of the newest committed deployment that brought one: what is left when the one under way goes back.
std::optional<BundleRef> committed_bundle(const State& state);

// The bundle whose secrets are to be in place now: that of the deployment under way from its activation on, in the boot
// in which it was activated or in the one that tries its system; else the committed one. Which generation was booted
// does not matter: secrets are not rolled back with it.
std::optional<BundleRef> bundle_in_force(const State& state, std::string_view boot_id,
                                         const std::optional<nix::StorePath>& running_system);

} // namespace waggle::agent

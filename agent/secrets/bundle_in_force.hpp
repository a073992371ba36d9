#pragma once

#include "agent/state/state.hpp"

#include <optional>
#include <string_view>

namespace waggle::agent {

// The bundle of the newest committed deployment that brought one. A rollback of the current deployment returns to it.
std::optional<BundleRef> committed_bundle(const State& state);

// The bundle whose secrets belong on the node now. From its activation on, that is the bundle of the deployment under
// way, in the boot that activated it or that tries its system; otherwise it is the committed one. The booted generation
// does not matter, because secrets are not rolled back with it.
std::optional<BundleRef> bundle_in_force(const State& state, std::string_view boot_id,
                                         const std::optional<nix::StorePath>& running_system);

} // namespace waggle::agent

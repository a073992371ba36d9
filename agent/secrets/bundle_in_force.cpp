#include "agent/secrets/bundle_in_force.hpp"

namespace waggle::agent {

using protocol::DeploymentState;

std::optional<BundleRef> committed_bundle(const State& state) {
    const auto& newest = state.deployment;
    if (newest && newest->bundle && newest->state == DeploymentState::committed)
        return newest->bundle;
    return state.secrets;
}

std::optional<BundleRef> bundle_in_force(const State& state, std::string_view boot_id,
                                         const std::optional<nix::StorePath>& running_system) {
    const auto& newest = state.deployment;
    if (!newest || !newest->bundle)
        return committed_bundle(state);
    const bool same_boot = newest->boot_id == boot_id;
    const bool its_system = newest->toplevel && newest->toplevel == running_system;
    switch (newest->state) {
    case DeploymentState::activating:
    case DeploymentState::activated: return same_boot ? newest->bundle : committed_bundle(state);
    case DeploymentState::committing: return same_boot || its_system ? newest->bundle : committed_bundle(state);
    case DeploymentState::awaiting_reboot: return !same_boot && its_system ? newest->bundle : committed_bundle(state);
    default: return committed_bundle(state);
    }
}

} // namespace waggle::agent

#pragma once

#include "agent/node/host.hpp"

#include <optional>
#include <string>

namespace waggle::agent {

// The specialisation that a switch to the toplevel runs: the one that the deployment names, or else the one that runs
// now, if the new system also has it. nullopt means the toplevel itself; `note` then says which one is missing.
// Throws NotActivated (agent/state/not_activated.hpp) if the toplevel lacks the requested one. The toplevel must be in
// the store.
struct Specialisation {
    std::optional<nix::StorePath> system;
    std::string note;
};
Specialisation choose_specialisation(const Host& host, const nix::StorePath& toplevel,
                                     const std::optional<std::string>& wanted);

} // namespace waggle::agent

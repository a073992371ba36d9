#pragma once

#include "agent/host.hpp"

#include <optional>
#include <string>

namespace waggle::agent {

// The specialisation of the toplevel that a switch runs: as the deployment says, or, when it says nothing, the one that
// runs now, if the new system has it, too. nullopt: the toplevel itself. `note` then says what was lost.
// Throws Stopped (agent/fetch.hpp) when the toplevel has not what was asked for. The toplevel must be in the store.
struct Specialisation {
    std::optional<nix::StorePath> system;
    std::string note;
};
Specialisation choose_specialisation(const Host& host, const nix::StorePath& toplevel,
                                     const std::optional<std::string>& wanted);

} // namespace waggle::agent

#pragma once

#include "shared/nix/store_path.hpp"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// How a system's units are judged: deployment.rollback.{ignoreUnits,settleTime}. The rules are part of the system
// itself, like its health checks.
struct UnitRules {
    std::vector<std::string> ignored;            // patterns of names
    std::chrono::milliseconds settle_time{5000}; // in which a unit that was started must not fail
    bool operator==(const UnitRules&) const = default;
};

// Loads TOPLEVEL/waggle-unit-rules.json, as nixos-module/agent.nix writes it. Returns the defaults if there is no such
// file. Throws Error, naming the file and the field.
UnitRules load_unit_rules(const nix::StorePath& toplevel);
UnitRules parse_unit_rules(std::string_view text, std::string_view name_for_errors);

} // namespace waggle::agent

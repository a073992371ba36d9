#pragma once

#include "agent/units/sandbox.hpp"
#include "shared/base/process.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace waggle::agent {

// A subcommand of this program that runs in a transient unit of its own, and whose output the caller waits for.
struct OwnUnit {
    std::string description;
    UnitPurpose purpose;
    std::vector<std::string> subcommand;
    std::chrono::seconds timeout;
    size_t max_output_bytes;
    bool has_home = false; // root's home
};

// Throws TimedOut, and Error if the unit cannot be started.
RunResult run_in_own_unit(const OwnUnit& unit);

} // namespace waggle::agent

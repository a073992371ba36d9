#pragma once

#include "agent/secrets/installation.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// When each running unit last began to start (CLOCK_MONOTONIC).
using UnitStarts = std::map<std::string, std::chrono::microseconds>;

struct RestartPlan {
    std::vector<std::string> restart;
    std::vector<std::string> reload;
    bool operator==(const RestartPlan&) const = default;
};

// Replaces aliases that the hive uses by the units' own names.
std::vector<UnitChange> with_own_names(std::vector<UnitChange> changes,
                                       const std::map<std::string, std::string>& names);

// Lists each unit once. Leaves out units that do not run, and units that began to start after their secret had changed.
// A restart makes a reload unnecessary.
RestartPlan plan_restarts(const std::vector<UnitChange>& changes, const UnitStarts& starts);

// Asks systemd to restart and reload the running ones, without waiting. Does not throw: logs a unit that was not
// restarted.
void restart_units(const std::vector<UnitChange>& changes, const std::function<void(std::string_view)>& say) noexcept;

// Clears the failure of the unit that restores secrets at boot, once its cause is fixed.
void clear_failed_boot_unit() noexcept;

} // namespace waggle::agent

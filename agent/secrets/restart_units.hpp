#pragma once

#include "agent/secrets/installation.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// Of a unit that runs: when it last began to start, of CLOCK_MONOTONIC.
using UnitStarts = std::map<std::string, std::chrono::microseconds>;

struct RestartPlan {
    std::vector<std::string> restart;
    std::vector<std::string> reload;
    bool operator==(const RestartPlan&) const = default;
};

// Each unit once. One that began to start after its secret had changed has read the new one; one that is to be
// restarted is not reloaded as well; one that does not run is left alone.
RestartPlan plan_restarts(const std::vector<UnitChange>& changes, const UnitStarts& starts);

// Asks systemd to restart and reload those that are running; does not wait. Never throws: a unit that
// was not restarted is said.
void restart_units(const std::vector<UnitChange>& changes, const std::function<void(std::string_view)>& say) noexcept;

// The unit that brings secrets back at boot, when it failed because of what has been mended now.
void clear_failed_boot_unit() noexcept;

} // namespace waggle::agent

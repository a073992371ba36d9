#pragma once

#include "shared/protocol/deployment.hpp"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// Why a system is not kept.
struct Problem {
    std::string code;
    std::string text;
};

// A failed unit, and how it relates to the switch to the new system.
struct FailedUnit {
    std::string name;
    bool of_new_system = false; // the new system has its unit file; transient units have none
    bool changed = false;       // the previous system has a different unit file, or none
    bool started = false; // since the switch began, because the system wants it and not because of a timer or a user
    bool failed_before = false; // the switch
};

struct FailedUnits {
    std::vector<std::string> blamed; // failed because of the switch
    std::vector<std::string> others; // unrelated to the switch, or ignored by deployment.rollback.ignoreUnits
};

// Attributes failures to the switch. `ignored` are the patterns of deployment.rollback.ignoreUnits: "*" matches any
// characters, "?" matches one.
FailedUnits find_blame(std::span<const FailedUnit> failed, std::span<const std::string> ignored);

// How to watch the units after a switch until they have settled.
struct UnitWatch {
    std::function<FailedUnits()> look;
    std::function<bool()> any_may_fail; // something that the switch started is still running
    std::function<bool()> is_over;      // the settle time has passed
    std::function<void()> pause;
};

// Returns the failed units once the switch has caused a failure, nothing can fail any more, or the time has passed.
FailedUnits watch_units(const UnitWatch& watch);

struct Verdict {
    enum class Kind {
        good,
        flawed, // keep the system nevertheless
        bad,    // roll back to the previous system
    };
    Kind kind = Kind::good;
    Problem problem; // unset if good
};

// Decides whether to keep a system after a switch or a boot. `unhealthy` is the failed health check, if any.
Verdict judge(const FailedUnits& units, const std::optional<std::string>& unhealthy,
              const protocol::Rollback& rollback);

// "units failed: a.service, b.service and 398 more"
std::string describe_failed(const std::vector<std::string>& units);

} // namespace waggle::agent

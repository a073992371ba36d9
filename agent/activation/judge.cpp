#include "agent/activation/judge.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>

namespace waggle::agent {

namespace {

constexpr size_t max_units_named = 10;

} // namespace

FailedUnits find_blame(std::span<const FailedUnit> failed, std::span<const std::string> ignored) {
    FailedUnits units;
    for (const auto& unit : failed) {
        const bool is_ignored = std::ranges::any_of(
            ignored, [&](const std::string& pattern) { return ::fnmatch(pattern.c_str(), unit.name.c_str(), 0) == 0; });
        const bool is_of_switch = unit.of_new_system && (unit.changed || unit.started) && !unit.failed_before;
        (is_of_switch && !is_ignored ? units.blamed : units.others).push_back(unit.name);
    }
    return units;
}

FailedUnits watch_units(const UnitWatch& watch) {
    while (true) {
        // Query the running units first, so that a unit that fails between the two queries is among the failed ones.
        const bool is_last = watch.is_over() || !watch.any_may_fail();
        auto units = watch.look();
        if (is_last || !units.blamed.empty())
            return units;
        watch.pause();
    }
}

Verdict judge(const FailedUnits& units, const std::optional<std::string>& unhealthy,
              const protocol::Rollback& rollback) {
    if (unhealthy)
        return {Verdict::Kind::bad, {"health-check", *unhealthy}};
    if (units.blamed.empty())
        return {};
    // Without rollback, failed units are no reason to leave the node between two systems.
    const bool kept = rollback.keep_on_failed_units || !rollback.enable;
    return {kept ? Verdict::Kind::flawed : Verdict::Kind::bad, {"units-failed", describe_failed(units.blamed)}};
}

std::string describe_failed(const std::vector<std::string>& units) {
    const auto named = std::span(units).first(std::min(units.size(), max_units_named));
    return fmt::format("units failed: {}{}", fmt::join(named, ", "),
                       units.size() > named.size() ? fmt::format(" and {} more", units.size() - named.size()) : "");
}

} // namespace waggle::agent

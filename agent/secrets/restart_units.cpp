#include "agent/secrets/restart_units.hpp"

#include "agent/node/systemd.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>

namespace waggle::agent {

namespace {

// Restarts each unit by itself, so that one failure does not affect the others. Resets the start limit first: it is
// meant for units that keep failing, and deployments that follow each other within seconds must not reach it.
void restart_each(UnitJob job, const std::vector<std::string>& units, std::string_view what,
                  const std::function<void(std::string_view)>& say) {
    if (units.empty())
        return;
    say(fmt::format("{} because of changed secrets: {}", what, fmt::join(units, ", ")));
    for (const auto& unit : units) {
        try {
            reset_failed(unit);
            queue_job(job, unit);
        } catch (const Error& error) {
            say(error.what());
        }
    }
}

} // namespace

void clear_failed_boot_unit() noexcept {
    constexpr auto unit = "waggle-secrets.service";
    try {
        if (unit_state(unit).active == "failed")
            queue_job(UnitJob::restart, unit);
    } catch (const std::exception& error) {
        spdlog::warn("{} stays failed until the next boot: {}", unit, error.what());
    }
}

std::vector<UnitChange> with_own_names(std::vector<UnitChange> changes,
                                       const std::map<std::string, std::string>& names) {
    for (auto& change : changes)
        if (const auto own = names.find(change.unit); own != names.end() && !own->second.empty())
            change.unit = own->second;
    return changes;
}

RestartPlan plan_restarts(const std::vector<UnitChange>& changes, const UnitStarts& starts) {
    std::set<std::string> restart;
    std::set<std::string> reload;
    for (const auto& change : changes) {
        const auto start = starts.find(change.unit);
        if (start == starts.end() || start->second >= change.at)
            continue;
        (change.reload ? reload : restart).insert(change.unit);
    }
    std::erase_if(reload, [&](const std::string& unit) { return restart.contains(unit); });
    return {.restart = {restart.begin(), restart.end()}, .reload = {reload.begin(), reload.end()}};
}

void restart_units(const std::vector<UnitChange>& changes, const std::function<void(std::string_view)>& say) noexcept {
    if (changes.empty())
        return;
    try {
        std::set<std::string> named;
        for (const auto& change : changes)
            named.insert(change.unit);
        const std::vector<std::string> units(named.begin(), named.end());
        const auto states = unit_states(units);
        UnitStarts starts;
        std::map<std::string, std::string> own_names;
        for (size_t i = 0; i < units.size(); ++i) {
            const auto& own = own_names[units[i]] = states[i].id.empty() ? units[i] : states[i].id;
            if (states[i].is_running())
                starts[own] = states[i].started;
            else if (!states[i].loaded)
                say(fmt::format(
                    "{}, which was to be restarted because of a changed secret, is not a unit of this system",
                    units[i]));
        }
        const auto plan = plan_restarts(with_own_names(changes, own_names), starts);
        restart_each(UnitJob::try_restart, plan.restart, "restarting", say);
        restart_each(UnitJob::reload_or_try_restart, plan.reload, "reloading", say);
    } catch (const std::exception& error) {
        say(fmt::format("units were not restarted after their secrets changed: {}", error.what()));
    }
}

} // namespace waggle::agent

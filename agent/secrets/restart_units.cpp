#include "agent/secrets/restart_units.hpp"

#include "agent/line_splitter.hpp"
#include "shared/base/process.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <set>

namespace waggle::agent {

namespace {

constexpr std::chrono::seconds systemctl_timeout{60};

RunResult systemctl(std::vector<std::string> words) {
    words.insert(words.begin(), "systemctl");
    RunOptions options;
    options.deadline = deadline_in(systemctl_timeout);
    return run({.argv = std::move(words), .extra_environment = {}}, options);
}

void ask(std::vector<std::string> words, const std::vector<std::string>& units, std::string_view what,
         const std::function<void(std::string_view)>& say) {
    if (units.empty())
        return;
    say(fmt::format("{} because of changed secrets: {}", what, fmt::join(units, ", ")));
    words.insert(words.end(), units.begin(), units.end());
    const auto result = systemctl(words);
    if (!result.status.success())
        say(fmt::format("{}: {} {}", fmt::join(words, " "), result.status.to_string(), result.err_tail));
}

} // namespace

void clear_failed_boot_unit() noexcept {
    constexpr auto unit = "waggle-secrets.service";
    try {
        if (systemctl({"is-failed", "--quiet", unit}).status.success())
            systemctl({"--no-block", "restart", unit});
    } catch (const std::exception& error) {
        spdlog::debug("{} stays as it is until the next boot: {}", unit, error.what());
    }
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

UnitStarts parse_unit_starts(std::string_view text) {
    UnitStarts starts;
    std::string id;
    bool loaded = false;
    std::int64_t start = 0;
    const auto finish = [&] {
        if (!id.empty() && loaded)
            starts[id] = std::chrono::microseconds(start);
        id.clear();
        loaded = false;
        start = 0;
    };
    while (!text.empty()) {
        const auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        const auto equals = line.find('=');
        const auto key = line.substr(0, equals);
        const auto value = equals == std::string_view::npos ? std::string_view() : line.substr(equals + 1);
        if (line.empty())
            finish();
        else if (key == "Id")
            id = value;
        else if (key == "LoadState")
            loaded = value == "loaded";
        else if (key == "InactiveExitTimestampMonotonic")
            std::from_chars(value.data(), value.data() + value.size(), start);
    }
    finish();
    return starts;
}

void restart_units(const std::vector<UnitChange>& changes, const std::function<void(std::string_view)>& say) noexcept {
    if (changes.empty())
        return;
    try {
        std::set<std::string> units;
        for (const auto& change : changes)
            units.insert(change.unit);
        std::vector<std::string> words{"show", "--property=Id,LoadState,InactiveExitTimestampMonotonic", "--"};
        words.insert(words.end(), units.begin(), units.end());
        const auto plan = plan_restarts(changes, parse_unit_starts(systemctl(words).out));
        ask({"--no-block", "try-restart", "--"}, plan.restart, "restarting", say);
        ask({"--no-block", "try-reload-or-restart", "--"}, plan.reload, "reloading", say);
    } catch (const std::exception& error) {
        say(fmt::format("units were not restarted after their secrets changed: {}", error.what()));
    }
}

} // namespace waggle::agent

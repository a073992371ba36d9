#include "agent/node/systemctl.hpp"

#include "shared/base/error.hpp"
#include "shared/base/line_splitter.hpp"
#include "shared/base/process.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <utility>

namespace waggle::agent {

namespace {

constexpr std::chrono::seconds timeout{60}; // a unit may take long to stop
constexpr std::chrono::seconds log_timeout{10};
constexpr int log_lines = 10;
constexpr size_t max_log_bytes = 64 << 10;
constexpr int not_loaded_exit_code = 5; // systemctl(1), "Exit status": program is not installed

RunResult systemctl(const std::vector<std::string>& words) {
    std::vector<std::string> argv{"systemctl"};
    argv.insert(argv.end(), words.begin(), words.end());
    RunOptions options;
    options.deadline = deadline_in(timeout);
    return run({.argv = std::move(argv), .extra_environment = {}}, options);
}

[[noreturn]] void refuse(const std::vector<std::string>& words, const RunResult& result) {
    auto reason = result.err_tail;
    while (!reason.empty() && reason.back() == '\n')
        reason.pop_back();
    throw Error(
        fmt::format("systemctl {}: {}", fmt::join(words, " "), reason.empty() ? result.status.to_string() : reason));
}

RunResult require(const std::vector<std::string>& words) {
    auto result = systemctl(words);
    if (!result.status.success())
        refuse(words, result);
    return result;
}

} // namespace

bool UnitState::is_running() const {
    return active == "active" || active == "activating" || active == "deactivating" || active == "reloading" ||
           active == "refreshing";
}

std::vector<UnitProperties> parse_unit_properties(std::string_view text) {
    std::vector<UnitProperties> units;
    bool inside = false;
    LineSplitter lines([&](std::string_view line) {
        if (!line.empty() && !inside)
            units.emplace_back();
        inside = !line.empty();
        if (const auto equals = line.find('='); equals != std::string_view::npos)
            units.back().insert_or_assign(std::string(line.substr(0, equals)), std::string(line.substr(equals + 1)));
    });
    lines.feed(text);
    return units;
}

std::vector<UnitState> parse_unit_states(std::string_view text) {
    std::vector<UnitState> states;
    for (auto& properties : parse_unit_properties(text)) {
        UnitState state{
            .id = properties["Id"], .loaded = properties["LoadState"] == "loaded", .active = properties["ActiveState"]};
        std::int64_t started = 0;
        const auto& value = properties["InactiveExitTimestampMonotonic"];
        std::from_chars(value.data(), value.data() + value.size(), started);
        state.started = std::chrono::microseconds(started);
        states.push_back(std::move(state));
    }
    return states;
}

std::vector<UnitState> unit_states(const std::vector<std::string>& units) {
    if (units.empty())
        return {};
    std::vector<std::string> words{"show", "--property=Id,LoadState,ActiveState,InactiveExitTimestampMonotonic", "--"};
    words.insert(words.end(), units.begin(), units.end());
    auto states = parse_unit_states(require(words).out);
    if (states.size() != units.size())
        throw Error(fmt::format("systemctl show answered for {} of {} units", states.size(), units.size()));
    return states;
}

std::vector<FailedUnitState> find_failed_units(const std::vector<UnitProperties>& units) {
    std::vector<FailedUnitState> failed;
    for (auto properties : units) {
        // A unit with Restart=always that has ended successfully waits for its next start in the same state as one that
        // has failed.
        const bool restarts = properties["SubState"].starts_with("auto-restart") && properties["Result"] != "success";
        if (properties["LoadState"] != "loaded" || (properties["ActiveState"] != "failed" && !restarts))
            continue;
        FailedUnitState unit{.name = properties["Id"],
                             .invocation = properties["InvocationID"],
                             .generated = properties["FragmentPath"].starts_with("/run/systemd/generator"),
                             .wanted_by = {}};
        for (const auto* key : {"WantedBy", "RequiredBy", "BoundBy", "UpheldBy"}) {
            std::istringstream names(properties[key]);
            for (std::string name; names >> name;)
                unit.wanted_by.push_back(name);
        }
        failed.push_back(std::move(unit));
    }
    std::ranges::sort(failed, {}, &FailedUnitState::name);
    return failed;
}

std::vector<FailedUnitState> failed_units() {
    // The columns are UNIT, LOAD, ACTIVE, SUB and DESCRIPTION.
    const auto listed = require({"list-units", "--all", "--full", "--plain", "--no-legend", "--no-pager",
                                 "--state=failed,auto-restart,auto-restart-queued"});
    std::vector<std::string> words{"show",
                                   "--property=Id,LoadState,ActiveState,SubState,Result,InvocationID,FragmentPath,"
                                   "WantedBy,RequiredBy,BoundBy,UpheldBy",
                                   "--"};
    LineSplitter lines([&](std::string_view line) {
        if (const auto name = line.substr(0, line.find(' ')); !name.empty())
            words.emplace_back(name);
    });
    lines.feed(listed.out);
    constexpr size_t fixed_words = 3;
    return words.size() == fixed_words ? std::vector<FailedUnitState>{}
                                       : find_failed_units(parse_unit_properties(require(words).out));
}

UnitInvocations unit_invocations() {
    UnitInvocations invocations;
    const auto shown = require({"show", "--all", "--property=Id,ActiveState,SubState,InvocationID", "--", "*"});
    for (auto& unit : parse_unit_properties(shown.out)) {
        const auto& active = unit["ActiveState"];
        const bool runs = active == "activating" || active == "reloading" || unit["SubState"] == "running";
        invocations.insert_or_assign(unit["Id"], UnitInvocation{.invocation = unit["InvocationID"], .runs = runs});
    }
    return invocations;
}

std::string log_of_unit(const std::string& unit) {
    RunOptions options;
    options.deadline = deadline_in(log_timeout);
    options.max_stdout_bytes = max_log_bytes;
    const auto result = run({.argv = {"journalctl", "--quiet", "--no-pager", "--output=cat", "--boot",
                                      fmt::format("--lines={}", log_lines), fmt::format("--unit={}", unit)},
                             .extra_environment = {}},
                            options);
    return result.status.success() ? result.out : "";
}

UnitState unit_state(const std::string& unit) {
    return unit_states({unit}).front();
}

bool stop_unit(const std::string& unit) {
    const std::vector<std::string> words{"stop", "--", unit};
    const auto result = systemctl(words);
    if (!result.status.success() && (result.status.signal != 0 || result.status.code != not_loaded_exit_code))
        refuse(words, result);
    return result.status.success();
}

// Unlike `stop`, `kill` has one exit code for every failure.
bool kill_unit(const std::string& unit) {
    const std::vector<std::string> words{"kill", "--signal=KILL", "--", unit};
    const auto result = systemctl(words);
    if (!result.status.success() && unit_state(unit).loaded)
        refuse(words, result);
    return result.status.success();
}

void queue_job(std::string_view job, const std::string& unit) {
    require({"--no-block", std::string(job), "--", unit});
}

void start_alone(const std::string& unit) {
    require({"start", "--job-mode=ignore-requirements", "--", unit});
}

void reset_failed(const std::string& unit) {
    require({"reset-failed", "--", unit});
}

void daemon_reload() {
    require({"daemon-reload"});
}

} // namespace waggle::agent

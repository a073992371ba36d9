#include "agent/systemctl.hpp"

#include "agent/line_splitter.hpp"
#include "shared/base/error.hpp"
#include "shared/base/process.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>

namespace waggle::agent {

namespace {

constexpr std::chrono::seconds timeout{60}; // a unit's own stop may take its time
constexpr int not_loaded_exit_code = 5;     // systemctl(1), "Exit status": program is not installed

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

std::vector<UnitState> parse_unit_states(std::string_view text) {
    std::vector<UnitState> states;
    bool inside = false;
    LineSplitter lines([&](std::string_view line) {
        if (!line.empty() && !inside)
            states.emplace_back();
        inside = !line.empty();
        const auto equals = line.find('=');
        if (equals == std::string_view::npos)
            return;
        const auto key = line.substr(0, equals);
        const auto value = line.substr(equals + 1);
        if (key == "LoadState") {
            states.back().loaded = value == "loaded";
        } else if (key == "ActiveState") {
            states.back().active = value;
        } else if (key == "InactiveExitTimestampMonotonic") {
            std::int64_t started = 0;
            std::from_chars(value.data(), value.data() + value.size(), started);
            states.back().started = std::chrono::microseconds(started);
        }
    });
    lines.feed(text);
    return states;
}

std::vector<UnitState> unit_states(const std::vector<std::string>& units) {
    if (units.empty())
        return {};
    std::vector<std::string> words{"show", "--property=LoadState,ActiveState,InactiveExitTimestampMonotonic", "--"};
    words.insert(words.end(), units.begin(), units.end());
    auto states = parse_unit_states(require(words).out);
    if (states.size() != units.size())
        throw Error(fmt::format("systemctl show answered for {} of {} units", states.size(), units.size()));
    return states;
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

void reset_failed(const std::string& unit) {
    require({"reset-failed", "--", unit});
}

void daemon_reload() {
    require({"daemon-reload"});
}

} // namespace waggle::agent

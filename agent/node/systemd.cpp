#include "agent/node/systemd.hpp"

#include "agent/node/systemd_bus.hpp"
#include "shared/base/error.hpp"
#include "shared/base/process.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <iterator>
#include <string_view>

namespace waggle::agent {

namespace {

constexpr std::chrono::seconds timeout{60}; // a unit may take long to stop
constexpr std::chrono::seconds log_timeout{10};
constexpr int log_lines = 10;
constexpr size_t max_log_bytes = 64 << 10;

constexpr auto unit_interface = "org.freedesktop.systemd1.Unit";
constexpr auto service_interface = "org.freedesktop.systemd1.Service";

SystemdBus connect() {
    return SystemdBus(deadline_in(timeout));
}

// Adds to an error what was to be done to which unit.
template <class Request>
auto with_context(std::string_view attempt, std::string_view unit, Request request) {
    const auto context = [&] { return fmt::format("{} {}", attempt, unit); };
    try {
        return request();
    } catch (const TimedOut& error) {
        throw TimedOut(in_context(context(), error).what());
    } catch (const Error& error) {
        throw in_context(context(), error);
    }
}

// Returns false if no unit of that name is loaded.
template <class Request>
bool if_loaded(std::string_view attempt, const std::string& unit, Request request) {
    return with_context(attempt, unit, [&] {
        try {
            request();
            return true;
        } catch (const RefusedBySystemd& refused) {
            if (!refused.is_no_such_unit())
                throw;
            return false;
        }
    });
}

void require_done(const std::string& result) {
    if (result != "done" && result != "skipped")
        throw Error(fmt::format("systemd reports '{}'", result));
}

struct ListedUnit {
    std::string name;
    std::string load;
    std::string active;
    std::string sub;
    std::string path;
};

std::vector<ListedUnit> read_list(sd_bus_message* answer) {
    constexpr auto attempt = "listing units";
    std::vector<ListedUnit> units;
    SystemdBus::check(sd_bus_message_enter_container(answer, 'a', "(ssssssouso)"), attempt);
    for (;;) {
        // Besides: description, the unit that this one follows, and the number, type and path of its job.
        std::array<const char*, 9> text{};
        std::uint32_t job = 0;
        const int found = sd_bus_message_read(answer, "(ssssssouso)", &text[0], &text[1], &text[2], &text[3], &text[4],
                                              &text[5], &text[6], &job, &text[7], &text[8]);
        SystemdBus::check(found, attempt);
        if (found == 0)
            return units;
        units.push_back({.name = text[0], .load = text[2], .active = text[3], .sub = text[4], .path = text[6]});
    }
}

// A unit with Restart=always that has ended successfully waits for its next start in the same state as one that has
// failed; only the result of its last run differs.
bool has_failed(SystemdBus& bus, const ListedUnit& unit) {
    if (unit.load != "loaded")
        return false;
    return unit.active == "failed" || (unit.sub.starts_with("auto-restart") &&
                                       bus.string_property(unit.path, service_interface, "Result") != "success");
}

FailedUnitState describe(SystemdBus& bus, const ListedUnit& unit) {
    FailedUnitState failed{
        .name = unit.name,
        .invocation = bus.hex_property(unit.path, unit_interface, "InvocationID"),
        .generated =
            bus.string_property(unit.path, unit_interface, "FragmentPath").starts_with("/run/systemd/generator"),
        .wanted_by = {}};
    for (const auto* property : {"WantedBy", "RequiredBy", "BoundBy", "UpheldBy"})
        std::ranges::move(bus.list_property(unit.path, unit_interface, property), std::back_inserter(failed.wanted_by));
    return failed;
}

} // namespace

bool UnitState::is_running() const {
    return active == "active" || active == "activating" || active == "deactivating" || active == "reloading" ||
           active == "refreshing";
}

std::vector<UnitState> unit_states(const std::vector<std::string>& units) {
    std::vector<UnitState> states;
    if (units.empty())
        return states;
    auto bus = connect();
    for (const auto& unit : units)
        states.push_back(with_context("reading the state of", unit, [&] {
            const auto path = bus.unit_path(unit);
            return UnitState{.id = bus.string_property(path, unit_interface, "Id"),
                             .loaded = bus.string_property(path, unit_interface, "LoadState") == "loaded",
                             .active = bus.string_property(path, unit_interface, "ActiveState"),
                             .started = std::chrono::microseconds(
                                 bus.number_property(path, unit_interface, "InactiveExitTimestampMonotonic"))};
        }));
    return states;
}

UnitState unit_state(const std::string& unit) {
    return unit_states({unit}).front();
}

std::vector<FailedUnitState> failed_units() {
    auto bus = connect();
    return failed_units(bus);
}

std::vector<FailedUnitState> failed_units(SystemdBus& bus) {
    const auto listed = bus.call("ListUnitsFiltered", "as", 3, "failed", "auto-restart", "auto-restart-queued");
    std::vector<FailedUnitState> failed;
    for (const auto& unit : read_list(listed.get()))
        if (has_failed(bus, unit))
            failed.push_back(describe(bus, unit));
    std::ranges::sort(failed, {}, &FailedUnitState::name);
    return failed;
}

UnitInvocations unit_invocations() {
    auto bus = connect();
    const auto listed = bus.call("ListUnits", "");
    UnitInvocations invocations;
    for (const auto& unit : read_list(listed.get())) {
        const bool runs = unit.active == "activating" || unit.active == "reloading" || unit.sub == "running";
        invocations.insert_or_assign(
            unit.name,
            UnitInvocation{.invocation = bus.hex_property(unit.path, unit_interface, "InvocationID"), .runs = runs});
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

bool stop_unit(const std::string& unit) {
    return if_loaded("stopping", unit, [&] { require_done(connect().run_job("StopUnit", unit, "replace")); });
}

bool kill_unit(const std::string& unit) {
    return if_loaded("killing", unit, [&] { connect().call("KillUnit", "ssi", unit.c_str(), "all", SIGKILL); });
}

void queue_job(UnitJob job, const std::string& unit) {
    const auto queue = [&](const char* method, std::string_view attempt) {
        with_context(attempt, unit, [&] { connect().call(method, "ss", unit.c_str(), "replace"); });
    };
    switch (job) {
    case UnitJob::start: return queue("StartUnit", "starting");
    case UnitJob::restart: return queue("RestartUnit", "restarting");
    case UnitJob::try_restart: return queue("TryRestartUnit", "restarting");
    case UnitJob::reload_or_try_restart: return queue("ReloadOrTryRestartUnit", "reloading");
    }
}

void start_alone(const std::string& unit) {
    with_context("starting", unit, [&] { require_done(connect().run_job("StartUnit", unit, "ignore-requirements")); });
}

void reset_failed(const std::string& unit) {
    with_context("resetting the failure of", unit, [&] { connect().call("ResetFailedUnit", "s", unit.c_str()); });
}

void daemon_reload() {
    connect().call("Reload", "");
}

} // namespace waggle::agent

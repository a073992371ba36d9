#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// The agent's requests to systemd through systemctl(1), which reaches PID 1 through systemd's private socket even in
// emergency mode, where D-Bus is down.
//
// Each function that changes something names one unit, because systemctl 262 does nothing at all if one of several
// units is not loaded. The functions throw Error with systemctl's message, and TimedOut if PID 1 does not answer.

struct UnitState {
    std::string id;                       // its own name if the request used an alias
    bool loaded = false;                  // a unit of this name exists
    std::string active;                   // ActiveState: "active", "failed", …
    std::chrono::microseconds started{0}; // when it last began to start (CLOCK_MONOTONIC); 0: never

    bool is_running() const; // or is starting or stopping
};

// The state of each unit, in the order of `units`, which may be aliases.
std::vector<UnitState> unit_states(const std::vector<std::string>& units);
UnitState unit_state(const std::string& unit);

// Parses what `systemctl show` prints for several units: a block of properties for each.
std::vector<UnitState> parse_unit_states(std::string_view text);

// A unit that has failed or that systemd is about to restart after a failure.
struct FailedUnitState {
    std::string name;
    std::string invocation;             // of its last start, 32 hexadecimal digits
    bool generated = false;             // by a systemd.generator(7)
    std::vector<std::string> wanted_by; // units that want, require, bind to or uphold it
};
// Sorted by name, without units whose file is gone.
std::vector<FailedUnitState> failed_units();

struct UnitInvocation {
    std::string invocation;
    bool runs = false; // or is starting, or is about to be restarted
};
using UnitInvocations = std::map<std::string, UnitInvocation>; // by name
// The invocations of all units that systemd has loaded.
UnitInvocations unit_invocations();

// Parses what `systemctl show` prints for several units, a block each, into names and values of all properties.
using UnitProperties = std::map<std::string, std::string>;
std::vector<UnitProperties> parse_unit_properties(std::string_view text);
// Finds the failed units in blocks with Id, LoadState, ActiveState, SubState, Result, InvocationID, FragmentPath,
// WantedBy, RequiredBy, BoundBy and UpheldBy.
std::vector<FailedUnitState> find_failed_units(const std::vector<UnitProperties>& units);

// The last lines that the unit has logged since its last start, or "".
std::string log_of_unit(const std::string& unit);

// Stops the unit and waits for it. Returns false if no unit of that name is loaded.
bool stop_unit(const std::string& unit);
// Sends SIGKILL to every process of the unit. Returns false if no unit of that name is loaded.
bool kill_unit(const std::string& unit);

// Queues a job ("start", "restart", "try-restart", "try-reload-or-restart") without waiting for it.
void queue_job(std::string_view job, const std::string& unit);
// Starts the unit without its dependencies, and waits until it runs.
void start_alone(const std::string& unit);
// Clears the unit's failure and its start limit.
void reset_failed(const std::string& unit);

void daemon_reload();

} // namespace waggle::agent

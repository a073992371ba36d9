#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace waggle::agent {

// The agent's requests to systemd. Each connects to PID 1 for itself, so that none depends on a connection that systemd
// closes when it re-executes itself. They throw Error with systemd's message, and TimedOut if PID 1 does not answer.

class SystemdBus;

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

// A unit that has failed or that systemd is about to restart after a failure.
struct FailedUnitState {
    std::string name;
    std::string invocation;             // of its last start, 32 hexadecimal digits
    bool generated = false;             // by a systemd.generator(7)
    std::vector<std::string> wanted_by; // units that want, require, bind to or uphold it
};
// Sorted by name, without units whose file is gone.
std::vector<FailedUnitState> failed_units();
std::vector<FailedUnitState> failed_units(SystemdBus& bus);

struct UnitInvocation {
    std::string invocation;
    bool runs = false; // or is starting, or is about to be restarted
};
using UnitInvocations = std::map<std::string, UnitInvocation>; // by name
// The invocations of all units that systemd has loaded.
UnitInvocations unit_invocations();

// The last lines that the unit has logged since its last start, or "".
std::string log_of_unit(const std::string& unit);

// Stops the unit and waits for it. Returns false if no unit of that name is loaded.
bool stop_unit(const std::string& unit);
// Sends SIGKILL to every process of the unit. Returns false if no unit of that name is loaded.
bool kill_unit(const std::string& unit);

// A job of systemd; those with "try" leave a unit alone that does not run.
enum class UnitJob { start, restart, try_restart, reload_or_try_restart };
// Queues a job without waiting for it.
void queue_job(UnitJob job, const std::string& unit);
// Starts the unit without its dependencies, and waits until it runs.
void start_alone(const std::string& unit);
// Clears the unit's failure and its start limit.
void reset_failed(const std::string& unit);

void daemon_reload();

} // namespace waggle::agent

#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// What the agent asks of systemd, by systemctl(1): that reaches PID 1 through systemd's private socket, also in
// emergency mode, where D-Bus is down.
//
// Each function that changes something names one unit: a newer systemctl (262) that is to stop or start several does
// none of it when one of them is not loaded. Throws Error with systemctl's own words, TimedOut when PID 1 does not
// answer.

struct UnitState {
    bool loaded = false;                  // there is a unit of this name
    std::string active;                   // ActiveState: "active", "failed", …
    std::chrono::microseconds started{0}; // when it last began to start, of CLOCK_MONOTONIC; 0: never

    bool is_running() const; // or starts or stops
};

// Of each unit, in the order in which they are named, by an alias or not.
std::vector<UnitState> unit_states(const std::vector<std::string>& units);
UnitState unit_state(const std::string& unit);

// What `systemctl show` prints of several units, a block of properties for each.
std::vector<UnitState> parse_unit_states(std::string_view text);

// Returns when the unit has stopped. False: no unit of that name is loaded, so there is nothing to stop.
bool stop_unit(const std::string& unit);
// SIGKILL to every process of the unit. False: no unit of that name is loaded.
bool kill_unit(const std::string& unit);

// Queues a job ("start", "restart", "try-restart", "try-reload-or-restart") and does not wait for its end.
void queue_job(std::string_view job, const std::string& unit);
// The unit may be started again however often it was started before; a failure of it is forgotten.
void reset_failed(const std::string& unit);

void daemon_reload();

} // namespace waggle::agent

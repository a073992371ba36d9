#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace waggle {

// When a wait must end. Always passed on, never restarted inside a call.
using Deadline = std::chrono::steady_clock::time_point;

inline Deadline deadline_in(std::chrono::milliseconds duration) {
    return std::chrono::steady_clock::now() + duration;
}

// The time left until `deadline`, at least zero and capped to what poll(2) accepts.
int poll_timeout_ms(Deadline deadline);

// Wall clock, UTC, to the millisecond.
using Time = std::chrono::sys_time<std::chrono::milliseconds>;

Time now();

// RFC 3339 in UTC with milliseconds, "2026-11-22T09:42:00.000Z".
std::string to_rfc3339(Time time);

// Accepts what to_rfc3339 writes, with or without the fraction. Throws Error for anything else.
Time parse_rfc3339(std::string_view text);

// Milliseconds since 1970-01-01T00:00:00Z.
inline std::int64_t unix_ms(Time time) {
    return time.time_since_epoch().count();
}

} // namespace waggle

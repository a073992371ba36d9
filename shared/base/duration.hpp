#pragma once

#include <chrono>
#include <string>

namespace waggle {

// Formats a duration for a person, in the largest unit that counts at least one: "40 s", "12 min", "3 h", "700 days".
// Drops the sign.
std::string describe_duration(std::chrono::milliseconds duration);

} // namespace waggle

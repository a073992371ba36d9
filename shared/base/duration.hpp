#pragma once

#include <chrono>
#include <string>

namespace waggle {

// A duration as a person says it, in its largest unit that counts at least one: "40 s", "12 min", "3 h", "700 days".
// The sign is dropped.
std::string describe_duration(std::chrono::milliseconds duration);

} // namespace waggle

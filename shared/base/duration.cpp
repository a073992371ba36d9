#include "shared/base/duration.hpp"

#include <fmt/format.h>

namespace waggle {

std::string describe_duration(std::chrono::milliseconds duration) {
    const auto length = std::chrono::abs(duration);
    if (const auto seconds = std::chrono::round<std::chrono::seconds>(length); seconds < std::chrono::minutes(1))
        return fmt::format("{} s", seconds.count());
    if (const auto minutes = std::chrono::round<std::chrono::minutes>(length); minutes < std::chrono::hours(1))
        return fmt::format("{} min", minutes.count());
    if (const auto hours = std::chrono::round<std::chrono::hours>(length); hours < std::chrono::days(2))
        return fmt::format("{} h", hours.count());
    return fmt::format("{} days", std::chrono::round<std::chrono::days>(length).count());
}

} // namespace waggle

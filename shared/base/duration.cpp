#include "shared/base/duration.hpp"

#include <fmt/format.h>

namespace waggle {

std::string describe_duration(std::chrono::milliseconds duration) {
    const auto length = std::chrono::abs(duration);
    const auto count = [&](auto unit) { return std::chrono::duration_cast<decltype(unit)>(length).count(); };
    if (length < std::chrono::minutes(1))
        return fmt::format("{} s", count(std::chrono::seconds()));
    if (length < std::chrono::hours(1))
        return fmt::format("{} min", count(std::chrono::minutes()));
    if (length < std::chrono::days(2))
        return fmt::format("{} h", count(std::chrono::hours()));
    return fmt::format("{} days", count(std::chrono::days()));
}

} // namespace waggle

#include "shared/base/time.hpp"

#include "shared/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace waggle {

static_assert(sizeof(std::time_t) >= 8, "times after 2038 (cmake/settings.cmake)");

int poll_timeout_ms(Deadline deadline) {
    using std::chrono::milliseconds;
    // Rounded up, because a poll that returns before the deadline would spin.
    auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp(left, milliseconds{0}, milliseconds{std::chrono::hours{24}}).count());
}

// Not system_clock, which ends in 2038 if libstdc++ was compiled with a time_t of 32 bits.
Time now() {
    timespec time{};
    ::clock_gettime(CLOCK_REALTIME, &time);
    return Time(std::chrono::seconds(time.tv_sec)) +
           std::chrono::floor<std::chrono::milliseconds>(std::chrono::nanoseconds(time.tv_nsec));
}

std::string to_rfc3339(Time time) {
    auto day = std::chrono::floor<std::chrono::days>(time);
    std::chrono::year_month_day date{day};
    std::chrono::hh_mm_ss clock{time - day};
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                       clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

namespace {

// Reads exactly `digits` decimal digits at `position`. Returns -1 if they are not there.
int number_at(std::string_view text, size_t position, size_t digits) {
    int value = 0;
    for (size_t i = position; i < position + digits; ++i) {
        if (i >= text.size() || text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

} // namespace

Time parse_rfc3339(std::string_view text) {
    auto bad = [&] {
        return Error(fmt::format("\"{}\" is not a time in UTC such as 2026-11-22T09:42:00.000Z", text.substr(0, 40)));
    };
    bool with_fraction = text.size() == 24;
    if ((!with_fraction && text.size() != 20) || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
        text[13] != ':' || text[16] != ':' || text.back() != 'Z' || (with_fraction && text[19] != '.'))
        throw bad();
    int year = number_at(text, 0, 4), month = number_at(text, 5, 2), day = number_at(text, 8, 2);
    int hour = number_at(text, 11, 2), minute = number_at(text, 14, 2), second = number_at(text, 17, 2);
    int millisecond = with_fraction ? number_at(text, 20, 3) : 0;
    if (year < 0 || month < 0 || day < 0 || hour < 0 || minute < 0 || second < 0 || millisecond < 0)
        throw bad();
    std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                     std::chrono::day{static_cast<unsigned>(day)}};
    if (!date.ok() || hour > 23 || minute > 59 || second > 59)
        throw bad();
    return std::chrono::sys_days{date} + std::chrono::hours{hour} + std::chrono::minutes{minute} +
           std::chrono::seconds{second} + std::chrono::milliseconds{millisecond};
}

} // namespace waggle

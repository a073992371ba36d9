#include "trigger/report/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace waggle::trigger {

std::string format_bytes(std::uint64_t bytes) {
    if (bytes < 1024)
        return fmt::format("{} B", bytes);
    constexpr std::array units = {"KiB", "MiB", "GiB", "TiB"};
    double amount = static_cast<double>(bytes) / 1024;
    size_t unit = 0;
    while (amount >= 1023.95 && unit + 1 < units.size()) { // it would be printed as 1024.0
        amount /= 1024;
        ++unit;
    }
    return fmt::format("{:.1f} {}", amount, units[unit]);
}

std::string format_elapsed(Elapsed elapsed) {
    const double seconds = std::max(0.0, std::chrono::duration<double>(elapsed).count());
    if (seconds < 9.95)
        return fmt::format("{:.1f} s", seconds);
    const auto whole = static_cast<std::uint64_t>(seconds);
    if (whole < 60)
        return fmt::format("{} s", whole);
    return fmt::format("{} min {:02} s", whole / 60, whole % 60);
}

std::string indented(std::string_view text, std::string_view indentation) {
    std::string result;
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find('\n', begin), text.size());
        if (begin > 0)
            result += '\n';
        if (end > begin)
            result += fmt::format("{}{}", indentation, text.substr(begin, end - begin));
        begin = end + 1;
    }
    return result;
}

} // namespace waggle::trigger

#include "trigger/hive/memory.hpp"

#include "shared/base/error.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cctype>
#include <charconv>
#include <fstream>
#include <string>

namespace waggle::trigger {

std::optional<std::uint64_t> available_memory_bytes() {
    std::ifstream meminfo("/proc/meminfo");
    for (std::string key, unit; meminfo >> key;) {
        std::uint64_t kib = 0;
        if (!(meminfo >> kib))
            break;
        if (key == "MemAvailable:")
            return kib * 1024;
        std::getline(meminfo, unit);
    }
    const long pages = ::sysconf(_SC_PHYS_PAGES);
    const long page_size = ::sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_size <= 0)
        return std::nullopt;
    return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_size) / 2;
}

std::optional<std::uint64_t> resident_bytes(pid_t pid) {
    std::ifstream statm(fmt::format("/proc/{}/statm", pid));
    std::uint64_t size_pages = 0, resident_pages = 0;
    if (!(statm >> size_pages >> resident_pages))
        return std::nullopt;
    return resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t parse_memory_size(std::string_view text, std::uint64_t available_bytes) {
    const auto refuse = [&] {
        return Error(
            fmt::format("“{}” is not an amount of memory: write it as 1.5G, 800M, or 80% of what is available", text));
    };
    double number = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
    if (error != std::errc() || rest + 1 != end || !(number > 0))
        throw refuse();
    double factor = 0;
    switch (std::toupper(static_cast<unsigned char>(*rest))) {
    case '%': factor = static_cast<double>(available_bytes) / 100; break;
    case 'M': factor = 1 << 20; break;
    case 'G': factor = 1 << 30; break;
    case 'T': factor = 1024.0 * (1 << 30); break;
    default: throw refuse();
    }
    constexpr double most = 1e15;
    if (number * factor > most)
        throw refuse();
    return static_cast<std::uint64_t>(number * factor);
}

} // namespace waggle::trigger

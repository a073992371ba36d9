#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace waggle::trigger {

// The machine's available memory; on a system that does not say, half of what it has.
std::optional<std::uint64_t> available_memory_bytes();

// What the process has in memory; nullopt where the system does not say or there is no such process.
std::optional<std::uint64_t> resident_bytes(pid_t pid);

// "1.5G", "800M", or "80%" of what is available. Throws Error for anything else.
std::uint64_t parse_memory_size(std::string_view text, std::uint64_t available_bytes);

} // namespace waggle::trigger

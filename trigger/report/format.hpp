#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace waggle::trigger {

using Elapsed = std::chrono::steady_clock::duration;

std::string format_bytes(std::uint64_t bytes);                             // "0 B", "12.3 KiB", "4.0 GiB"
std::string format_elapsed(Elapsed elapsed);                               // "0.4 s", "12 s", "3 min 05 s"
std::string indented(std::string_view text, std::string_view indentation); // every line

} // namespace waggle::trigger

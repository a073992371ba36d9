#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>

namespace waggle::trigger {

// Limits what all nodes together are sent per second (--upload-limit). Every sender reserves a turn for one piece at a
// time, so that all get the same share, and one that is slower than its share leaves the rest to the others. Safe to
// use from several threads.
class UploadLimit {
public:
    using Instant = std::chrono::steady_clock::time_point;

    explicit UploadLimit(std::uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

    std::uint64_t bytes_per_second() const { return bytes_per_second_; }
    // How large a piece may be. Turns are short, however low the limit is.
    size_t piece_bytes() const;
    // Reserves the next turn, and returns when it begins.
    Instant reserve(size_t bytes, Instant now);

private:
    const std::uint64_t bytes_per_second_;
    std::mutex mutex_;
    Instant free_from_{}; // all earlier time is reserved
};

// Parses bytes per second, such as 500K or 2M. K, M and G are powers of 1024, as in curl's --limit-rate. Throws Error.
std::uint64_t parse_rate(std::string_view text);

} // namespace waggle::trigger

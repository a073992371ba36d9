#include "trigger/deploy/link_speed.hpp"

#include <algorithm>
#include <array>

namespace waggle::trigger {

namespace {

constexpr double mebibyte = 1 << 20;
// A node that stops reading for ten seconds, for example while its store is locked, is known to be fast again after 40
// MiB.
constexpr double window_bytes = 8 * mebibyte;
// The buffers on the way accept up to some 12 MiB at once, whatever the link: queued messages, and Linux' send and
// receive buffers (4 and 6 MiB at most). A high speed is believed after more bytes than that, a low one after a while.
constexpr double telling_bytes = 16 * mebibyte;
constexpr double telling_seconds = 0.25;
// A node that accepts everything at once shows only that its link is faster than compression. From the speed at which
// that is likely, the known speed grows by at most this factor per window, so that a link is tried without compression
// now and then, and not for every other path.
constexpr double speed_of_compression = 75e6;
constexpr double growth = 1.1;
constexpr double least_seconds = 1e-6; // keeps the quotient finite

struct Level {
    double from_bytes_per_second;
    std::optional<int> level;
};
// Each level compresses faster than the link takes its output, measured with programs and libraries on one core of a
// small virtual machine: level 1 yields 140 MB/s, level 3 75 MB/s, level 9 15 MB/s. Higher levels save less than 1 %
// more with this window, and take twice the memory (27 instead of 15 MiB).
constexpr std::array levels = {
    Level{200e6, std::nullopt},
    Level{75e6, 1},
    Level{10e6, 3},
    Level{0, 9},
};
constexpr int level_of_unknown_link = 3;

} // namespace

void LinkSpeed::sent(size_t bytes, std::chrono::duration<double> time) {
    const auto count = static_cast<double>(bytes);
    double seconds = time.count();
    if (const auto speed = bytes_per_second(); speed && *speed >= speed_of_compression)
        seconds = std::max(seconds, count / (*speed * growth));
    total_bytes_ += count;
    bytes_ += count;
    seconds_ = std::max(seconds_ + seconds, least_seconds);
    known_ = known_ || total_bytes_ >= telling_bytes || seconds_ >= telling_seconds;
    if (bytes_ > window_bytes) {
        seconds_ *= window_bytes / bytes_;
        bytes_ = window_bytes;
    }
}

std::optional<double> LinkSpeed::bytes_per_second() const {
    return known_ ? std::optional(bytes_ / seconds_) : std::nullopt;
}

std::optional<int> compression_level(std::optional<double> bytes_per_second) {
    if (!bytes_per_second)
        return level_of_unknown_link;
    return std::ranges::find_if(levels,
                                [&](const Level& level) { return *bytes_per_second >= level.from_bytes_per_second; })
        ->level;
}

} // namespace waggle::trigger

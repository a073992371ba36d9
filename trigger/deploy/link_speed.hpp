#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

namespace waggle::trigger {

// Measures how fast a node accepts what is sent to it: its link, or the node itself if that is slower. Recent bytes
// count most.
class LinkSpeed {
public:
    // `time` is what passed from the wish to send these bytes until they were on their way.
    void sent(size_t bytes, std::chrono::duration<double> time);
    // Returns nullopt until enough was sent to know.
    std::optional<double> bytes_per_second() const;

private:
    double total_bytes_ = 0;
    double bytes_ = 0; // recent ones, and the time that they took
    double seconds_ = 0;
    bool known_ = false;
};

// The zstd level for a link of this speed; nullopt: NARs travel uncompressed.
std::optional<int> compression_level(std::optional<double> bytes_per_second);

} // namespace waggle::trigger

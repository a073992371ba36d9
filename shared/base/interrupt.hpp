#pragma once

#include "shared/base/fd.hpp"

#include <atomic>
#include <chrono>

namespace waggle {

// A request to stop, noticed by everything that waits: poll fd() for reading, or call requested(). request() may be
// called from any thread and from a signal handler.
class Interrupt {
public:
    Interrupt();

    void request() noexcept;
    bool requested() const noexcept { return requested_.load(); }
    int fd() const { return pipe_.read.get(); }

    // Throws Interrupted if a stop has been requested.
    void check() const;
    // Waits for the given time. Throws Interrupted as soon as a stop is requested.
    void wait(std::chrono::milliseconds duration) const;

private:
    std::atomic<bool> requested_ = false;
    Pipe pipe_;
};

} // namespace waggle

#pragma once

#include "shared/base/fd.hpp"

#include <atomic>
#include <chrono>

namespace waggle {

// A request to stop, seen by everything that waits: poll fd() for reading, or ask requested().
// request() may be called from any thread and from a signal handler.
class Interrupt {
public:
    Interrupt();

    void request() noexcept;
    bool requested() const noexcept { return requested_.load(); }
    int fd() const { return pipe_.read.get(); }

    // Throws Interrupted when it was requested.
    void check() const;
    // Waits until the time is over, or it is requested: then throws Interrupted.
    void wait(std::chrono::milliseconds duration) const;

private:
    std::atomic<bool> requested_ = false;
    Pipe pipe_;
};

} // namespace waggle

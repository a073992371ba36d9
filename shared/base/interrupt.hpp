#pragma once

#include "shared/base/fd.hpp"

#include <atomic>

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

private:
    std::atomic<bool> requested_ = false;
    Pipe pipe_;
};

} // namespace waggle

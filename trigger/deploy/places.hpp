#pragma once

#include "shared/base/interrupt.hpp"

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>

namespace waggle::trigger {

// Limits the number of nodes in work at a time (--parallel). Connecting takes no place, so nodes that do not answer do
// not delay others. Safe to use from several threads.
class Places {
public:
    // 0: no limit.
    explicit Places(size_t count) : unlimited_(count == 0), free_(count) {}

    // Holds a place until its last copy is destroyed.
    using Place = std::shared_ptr<void>;

    // Returns nullptr if no place is free.
    Place try_take();
    // Waits for a place. Throws Interrupted.
    Place take(const Interrupt& interrupt);

private:
    Place make_place();

    const bool unlimited_;
    std::mutex mutex_;
    std::condition_variable freed_;
    size_t free_;
};

} // namespace waggle::trigger

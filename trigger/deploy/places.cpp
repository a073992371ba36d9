#include "trigger/deploy/places.hpp"

#include <chrono>

namespace waggle::trigger {

namespace {

constexpr auto interrupt_interval = std::chrono::milliseconds(100); // between two looks at it

} // namespace

// Requires the mutex and a free place.
Places::Place Places::make_place() {
    if (!unlimited_)
        --free_;
    return {this, [](void* owner) {
                auto& places = *static_cast<Places*>(owner);
                if (places.unlimited_)
                    return;
                {
                    const std::scoped_lock lock(places.mutex_);
                    ++places.free_;
                }
                places.freed_.notify_one();
            }};
}

Places::Place Places::try_take() {
    const std::scoped_lock lock(mutex_);
    if (!unlimited_ && free_ == 0)
        return nullptr;
    return make_place();
}

Places::Place Places::take(const Interrupt& interrupt) {
    std::unique_lock lock(mutex_);
    while (!unlimited_ && free_ == 0) {
        interrupt.check();
        freed_.wait_for(lock, interrupt_interval);
    }
    return make_place();
}

} // namespace waggle::trigger

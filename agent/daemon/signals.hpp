#pragma once

#include "shared/base/interrupt.hpp"

#include <thread>

namespace waggle::agent {

// Turns SIGTERM and SIGINT into a request to stop. Must be created before any other thread, because threads inherit the
// signal mask.
class StopSignals {
public:
    explicit StopSignals(Interrupt& target);
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

private:
    Interrupt end_;
    std::thread thread_;
};

} // namespace waggle::agent

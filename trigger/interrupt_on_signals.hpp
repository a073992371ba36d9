#pragma once

#include "shared/base/interrupt.hpp"

namespace waggle::trigger {

// While it lives, SIGINT and SIGTERM request the interrupt; the second one ends the program at once, with 130.
// At most one at a time.
class InterruptOnSignals {
public:
    explicit InterruptOnSignals(Interrupt& interrupt);
    InterruptOnSignals(const InterruptOnSignals&) = delete;
    InterruptOnSignals& operator=(const InterruptOnSignals&) = delete;
    ~InterruptOnSignals();
};

} // namespace waggle::trigger

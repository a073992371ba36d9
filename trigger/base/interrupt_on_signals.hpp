#pragma once

#include "shared/base/interrupt.hpp"

namespace waggle::trigger {

// While it lives, SIGINT, SIGTERM and SIGHUP request the interrupt; the second SIGINT or SIGTERM ends the program at
// once, with 130, or asks those that finish to leave. After SIGHUP there is no terminal any more: what was written to
// it goes nowhere. A SIGHUP that is ignored (`nohup`) stays ignored. At most one at a time.
class InterruptOnSignals {
public:
    explicit InterruptOnSignals(Interrupt& interrupt);
    InterruptOnSignals(const InterruptOnSignals&) = delete;
    InterruptOnSignals& operator=(const InterruptOnSignals&) = delete;
    ~InterruptOnSignals();
};

// Work that goes on after the first request, because to stop it would do harm: a node that activates is confirmed by
// who stays. While there is any, the second request asks it to leave, and the third ends the program.
class Finishing {
public:
    Finishing();
    Finishing(const Finishing&) = delete;
    Finishing& operator=(const Finishing&) = delete;
    ~Finishing();

    static int count();           // of those that live, in the whole program
    static bool asked_to_leave(); // from any thread
    static void ask_to_leave();   // as the second signal does
};

} // namespace waggle::trigger

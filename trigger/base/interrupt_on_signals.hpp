#pragma once

#include "shared/base/interrupt.hpp"

namespace waggle::trigger {

// During its lifetime, SIGINT, SIGTERM and SIGHUP request the interrupt. The second SIGINT or SIGTERM ends the program
// at once with exit code 130, or asks work that is Finishing to leave. After SIGHUP the terminal is gone, so output to
// it is discarded. An ignored SIGHUP (`nohup`) stays ignored. At most one object may exist at a time.
class InterruptOnSignals {
public:
    explicit InterruptOnSignals(Interrupt& interrupt);
    InterruptOnSignals(const InterruptOnSignals&) = delete;
    InterruptOnSignals& operator=(const InterruptOnSignals&) = delete;
    ~InterruptOnSignals();
};

// Work that continues after the first request, because stopping it would do harm: only a trigger that stays can confirm
// a node in activation, or cancel the deployment of a node that does not read from its session. While such work exists,
// the second request asks it to leave, and the third ends the program.
class Finishing {
public:
    Finishing();
    Finishing(const Finishing&) = delete;
    Finishing& operator=(const Finishing&) = delete;
    ~Finishing();

    static int count();           // of the existing objects, in the whole program
    static bool asked_to_leave(); // from any thread
    static void ask_to_leave();   // like the second signal
};

} // namespace waggle::trigger

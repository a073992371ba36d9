#include "trigger/interrupt_on_signals.hpp"

#include <unistd.h>

#include <atomic>
#include <csignal>

namespace waggle::trigger {

namespace {

constexpr int interrupted_exit_code = 130; // as a shell reports SIGINT

// A signal handler gets no argument of ours.
std::atomic<Interrupt*> target = nullptr;

extern "C" void on_signal(int) {
    Interrupt* interrupt = target.load();
    if (!interrupt || interrupt->requested())
        ::_exit(interrupted_exit_code);
    interrupt->request();
}

void handle_with(void (*handler)(int)) {
    struct sigaction action{};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
}

} // namespace

InterruptOnSignals::InterruptOnSignals(Interrupt& interrupt) {
    target = &interrupt;
    handle_with(on_signal);
}

InterruptOnSignals::~InterruptOnSignals() {
    handle_with(SIG_DFL);
    target = nullptr;
}

} // namespace waggle::trigger

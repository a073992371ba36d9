#include "trigger/base/interrupt_on_signals.hpp"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>

namespace waggle::trigger {

namespace {

constexpr int interrupted_exit_code = 130; // as a shell reports SIGINT

// These are global, because a signal handler gets no argument of ours.
std::atomic<Interrupt*> target = nullptr;
std::atomic<int> finishing = 0;
std::atomic<bool> leave = false;

extern "C" void on_signal(int) {
    Interrupt* interrupt = target.load();
    if (!interrupt)
        ::_exit(interrupted_exit_code);
    if (!interrupt->requested())
        interrupt->request();
    else if (finishing == 0 || leave.exchange(true))
        ::_exit(interrupted_exit_code);
}

// Calls only functions that a signal handler may call. The shell and the kernel may both send SIGHUP, so a second one
// has no further meaning.
extern "C" void on_hangup(int) {
    const int saved_errno = errno;
    Interrupt* interrupt = target.load();
    if (!interrupt)
        ::_exit(interrupted_exit_code);
    const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        termios settings{};
        if (nowhere >= 0 && (::tcgetattr(fd, &settings) == 0 || errno == EIO))
            ::dup2(nowhere, fd);
    }
    if (nowhere > STDERR_FILENO)
        ::close(nowhere);
    interrupt->request();
    errno = saved_errno;
}

void handle_with(void (*handler)(int), void (*hangup)(int)) {
    struct sigaction action{};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    struct sigaction before{};
    ::sigaction(SIGHUP, nullptr, &before);
    action.sa_handler = hangup;
    if (before.sa_handler != SIG_IGN)
        ::sigaction(SIGHUP, &action, nullptr);
}

} // namespace

InterruptOnSignals::InterruptOnSignals(Interrupt& interrupt) {
    target = &interrupt;
    handle_with(on_signal, on_hangup);
}

InterruptOnSignals::~InterruptOnSignals() {
    handle_with(SIG_DFL, SIG_DFL);
    target = nullptr;
    leave = false;
}

Finishing::Finishing() {
    ++finishing;
}

Finishing::~Finishing() {
    --finishing;
}

int Finishing::count() {
    return finishing;
}

bool Finishing::asked_to_leave() {
    return leave;
}

void Finishing::ask_to_leave() {
    leave = true;
}

} // namespace waggle::trigger

#include "agent/daemon/signals.hpp"

#include "shared/base/error.hpp"
#include "shared/base/fd.hpp"

#include <poll.h>
#include <sys/signalfd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace waggle::agent {

StopSignals::StopSignals(Interrupt& target) {
    std::signal(SIGPIPE, SIG_IGN);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    Fd fd(::signalfd(-1, &signals, SFD_CLOEXEC));
    if (!fd)
        throw SystemError("signalfd");
    thread_ = std::thread([this, &target, fd = std::move(fd)] {
        std::array<pollfd, 2> fds{
            {{.fd = fd.get(), .events = POLLIN, .revents = 0}, {.fd = end_.fd(), .events = POLLIN, .revents = 0}}};
        while (::poll(fds.data(), fds.size(), -1) < 0 && errno == EINTR) {
        }
        target.request();
    });
}

StopSignals::~StopSignals() {
    end_.request();
    thread_.join();
}

} // namespace waggle::agent

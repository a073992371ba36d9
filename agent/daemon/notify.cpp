#include "agent/daemon/notify.hpp"

#include <systemd/sd-daemon.h>

namespace waggle::agent {

void notify_service_manager(const std::string& state, const Fd* fd) {
    const int number = fd == nullptr ? -1 : fd->get();
    sd_pid_notify_with_fds(0, 0, state.c_str(), fd == nullptr ? nullptr : &number, fd == nullptr ? 0 : 1);
}

} // namespace waggle::agent

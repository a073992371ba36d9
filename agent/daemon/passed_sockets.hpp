#pragma once

#include "shared/base/fd.hpp"

#include <string>
#include <vector>

namespace waggle::agent {

// A socket that the service manager holds for this service: waggle-agent.socket has opened it, or the agent has left it
// there before (store_socket).
struct PassedSocket {
    Fd fd;
    std::string name; // "waggle-agent.socket", or as it was stored
};

// Those that this process was started with (sd_listen_fds(3)); empty for a second call, and where it was started in
// another way. Child processes do not inherit them.
std::vector<PassedSocket> take_passed_sockets();

// Leaves a copy of the socket with the service manager under this name (sd_pid_notify_with_fds(3), FDSTORE), so that
// the port stays taken while the service is restarted. Does nothing where there is no service manager.
void store_socket(const Fd& fd, const std::string& name);
// Has the service manager close its copies of that name.
void forget_stored_socket(const std::string& name);

} // namespace waggle::agent

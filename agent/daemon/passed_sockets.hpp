#pragma once

#include "shared/base/fd.hpp"

#include <string>
#include <vector>

namespace waggle::agent {

// A socket that the service manager holds for this service: waggle-agent.socket has opened it, or an earlier agent
// process has stored it (store_socket).
struct PassedSocket {
    Fd fd;
    std::string name; // "waggle-agent.socket", or as it was stored
};

// Returns the sockets that this process was started with (sd_listen_fds(3)). Returns none on a second call, or if the
// process was started in another way. Child processes do not inherit them.
std::vector<PassedSocket> take_passed_sockets();

// Stores a copy of the socket with the service manager under this name (sd_pid_notify_with_fds(3), FDSTORE), so that
// the port stays taken while the service is restarted. Does nothing if there is no service manager.
void store_socket(const Fd& fd, const std::string& name);
// Makes the service manager close its copies of that name.
void forget_stored_socket(const std::string& name);

} // namespace waggle::agent

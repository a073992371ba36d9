#include "agent/daemon/passed_sockets.hpp"

#include "agent/daemon/notify.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <utility>

namespace waggle::agent {

std::vector<PassedSocket> take_passed_sockets() {
    char** names = nullptr;
    constexpr int unset_environment = 1; // so that no child process believes that they are its own
    const int count = sd_listen_fds_with_names(unset_environment, &names);
    std::vector<PassedSocket> passed;
    for (int i = 0; i < count; ++i) {
        Fd fd(SD_LISTEN_FDS_START + i);
        ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
        passed.push_back({std::move(fd), names[i]});
        std::free(names[i]);
    }
    std::free(static_cast<void*>(names));
    return passed;
}

void store_socket(const Fd& fd, const std::string& name) {
    notify_service_manager(fmt::format("FDSTORE=1\nFDNAME={}", name), &fd);
}

void forget_stored_socket(const std::string& name) {
    notify_service_manager(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name));
}

} // namespace waggle::agent

#include "agent/daemon/notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace waggle::agent {

void notify_service_manager(std::string_view state, const Fd* fd) {
    const char* variable = std::getenv("NOTIFY_SOCKET");
    if (variable == nullptr)
        return;
    const std::string_view name = variable;
    sockaddr_un address{};
    if (name.empty() || name.size() >= sizeof address.sun_path)
        return;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name.front() == '@') // an abstract socket
        address.sun_path[0] = '\0';
    const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    iovec text{.iov_base = const_cast<char*>(state.data()), .iov_len = state.size()};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_name = &address;
    message.msg_namelen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    message.msg_iov = &text;
    message.msg_iovlen = 1;
    if (fd != nullptr) { // unix(7), SCM_RIGHTS
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        const int number = fd->get();
        std::memcpy(CMSG_DATA(header), &number, sizeof number);
    }
    ::sendmsg(socket.get(), &message, MSG_NOSIGNAL);
}

} // namespace waggle::agent

#include "agent/daemon/passed_sockets.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

namespace waggle::agent {
namespace {

// Receives what would be sent to the service manager.
class NotifySocket {
public:
    NotifySocket() : path_(folder_.path() / "notify"), socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
        if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            throw SystemError("binding");
        ::setenv("NOTIFY_SOCKET", path_.c_str(), 1);
    }
    ~NotifySocket() { ::unsetenv("NOTIFY_SOCKET"); }
    NotifySocket(const NotifySocket&) = delete;
    NotifySocket& operator=(const NotifySocket&) = delete;

    struct Received {
        std::string text;
        Fd fd;
    };
    Received receive() const {
        std::array<char, 256> text{};
        alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
        iovec part{.iov_base = text.data(), .iov_len = text.size()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const auto bytes = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        Received received{std::string(text.data(), bytes < 0 ? 0 : static_cast<size_t>(bytes)), Fd()};
        if (const cmsghdr* header = CMSG_FIRSTHDR(&message)) {
            int number = -1;
            std::memcpy(&number, CMSG_DATA(header), sizeof number);
            received.fd = Fd(number);
        }
        return received;
    }

private:
    TemporaryFolder folder_;
    std::filesystem::path path_;
    Fd socket_;
};

TEST(StoreSocket, PassesACopyWithItsName) {
    const NotifySocket manager;
    const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    store_socket(socket, "interface-wg0");
    const auto received = manager.receive();
    EXPECT_EQ(received.text, "FDSTORE=1\nFDNAME=interface-wg0");
    ASSERT_TRUE(received.fd);
    EXPECT_EQ(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(received.fd.get())),
              std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(socket.get())));
}

TEST(StoreSocket, ForgetsASocketByName) {
    const NotifySocket manager;
    forget_stored_socket("interface-wg0");
    const auto received = manager.receive();
    EXPECT_EQ(received.text, "FDSTOREREMOVE=1\nFDNAME=interface-wg0");
    EXPECT_FALSE(received.fd);
}

TEST(TakePassedSockets, IgnoresSocketsPassedToAnotherProcess) {
    ::setenv("LISTEN_PID", std::to_string(::getppid()).c_str(), 1);
    ::setenv("LISTEN_FDS", "1", 1);
    EXPECT_TRUE(take_passed_sockets().empty());
    EXPECT_EQ(std::getenv("LISTEN_FDS"), nullptr); // it is not passed on either
}

} // namespace
} // namespace waggle::agent

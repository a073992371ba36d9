#include "shared/base/fd.hpp"

#include "shared/base/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace waggle {

namespace {

void wait_for(const Fd& fd, short events, Deadline deadline, const char* what) {
    pollfd entry{fd.get(), events, 0};
    for (;;) {
        int ready = ::poll(&entry, 1, poll_timeout_ms(deadline));
        if (ready > 0)
            return;
        if (ready == 0)
            throw TimedOut(fmt::format("timed out {}", what));
        if (errno != EINTR)
            throw SystemError("poll");
    }
}

// Only one end of the pipe or socket may be ours, so the flag is set only for a call in which a write must not block.
class NonBlocking {
public:
    explicit NonBlocking(int fd) : fd_(fd), flags_(::fcntl(fd, F_GETFL)) {
        if (flags_ >= 0 && !(flags_ & O_NONBLOCK))
            ::fcntl(fd_, F_SETFL, flags_ | O_NONBLOCK);
    }
    NonBlocking(const NonBlocking&) = delete;
    NonBlocking& operator=(const NonBlocking&) = delete;
    ~NonBlocking() {
        if (flags_ >= 0 && !(flags_ & O_NONBLOCK))
            ::fcntl(fd_, F_SETFL, flags_);
    }

private:
    int fd_;
    int flags_;
};

} // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
    if (this != &other) {
        close();
        fd_ = other.release();
    }
    return *this;
}

Fd::~Fd() {
    close();
}

void Fd::close() {
    if (fd_ >= 0)
        ::close(release());
}

Pipe make_pipe() {
    int ends[2];
#ifdef __linux__
    if (::pipe2(ends, O_CLOEXEC) != 0)
        throw SystemError("pipe2");
#else
    if (::pipe(ends) != 0)
        throw SystemError("pipe");
    ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    ::fcntl(ends[1], F_SETFD, FD_CLOEXEC);
#endif
    return {Fd(ends[0]), Fd(ends[1])};
}

size_t read_some(const Fd& fd, std::span<std::byte> buffer, Deadline deadline) {
    for (;;) {
        wait_for(fd, POLLIN, deadline, "waiting for data");
        ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
        if (count >= 0)
            return static_cast<size_t>(count);
        if (errno != EINTR && errno != EAGAIN)
            throw SystemError("read");
    }
}

void read_exactly(const Fd& fd, std::span<std::byte> buffer, Deadline deadline) {
    while (!buffer.empty()) {
        size_t count = read_some(fd, buffer, deadline);
        if (count == 0)
            throw Error("the stream ended early");
        buffer = buffer.subspan(count);
    }
}

void write_all(const Fd& fd, std::span<const std::byte> bytes, Deadline deadline) {
    NonBlocking guard(fd.get());
    while (!bytes.empty()) {
        ssize_t count = ::write(fd.get(), bytes.data(), bytes.size());
        if (count > 0)
            bytes = bytes.subspan(static_cast<size_t>(count));
        else if (count < 0 && errno == EAGAIN)
            wait_for(fd, POLLOUT, deadline, "waiting to write");
        else if (count < 0 && errno != EINTR)
            throw SystemError("write");
    }
}

void write_all(const Fd& fd, std::string_view text, Deadline deadline) {
    write_all(fd, std::as_bytes(std::span(text)), deadline);
}

Fd connect_unix(const char* path, Deadline deadline) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (std::strlen(path) >= sizeof address.sun_path)
        throw Error(fmt::format("the socket's path is too long: {}", path));
    std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);

    Fd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    if (!fd)
        throw SystemError("socket");
    ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
    ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
    for (;;) {
        if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
            return fd;
        if (errno == EAGAIN) { // the listener's backlog is full; connect(2) offers nothing to wait for
            if (poll_timeout_ms(deadline) == 0)
                throw TimedOut(fmt::format("timed out connecting to {}", path));
            ::poll(nullptr, 0, 10);
        } else if (errno != EINTR) {
            throw SystemError(fmt::format("connecting to {}", path));
        }
    }
}

} // namespace waggle

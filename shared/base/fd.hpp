#pragma once

#include "shared/base/time.hpp"

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace waggle {

// Owns a file descriptor and closes it.
class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept;
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd();

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }
    void close();

private:
    int fd_ = -1;
};

struct Pipe {
    Fd read;
    Fd write;
};

// Both ends close on exec.
Pipe make_pipe();

// Reads at most buffer.size() bytes. Returns 0 at the end of the stream. Waits until `deadline`, then throws TimedOut.
size_t read_some(const Fd& fd, std::span<std::byte> buffer, Deadline deadline);

// Fills the buffer. Throws Error if the stream ends early, TimedOut at the deadline.
void read_exactly(const Fd& fd, std::span<std::byte> buffer, Deadline deadline);

// Writes everything or throws. The descriptor may be blocking or not.
void write_all(const Fd& fd, std::span<const std::byte> bytes, Deadline deadline);
void write_all(const Fd& fd, std::string_view text, Deadline deadline);

// Connects to a Unix stream socket.
Fd connect_unix(const char* path, Deadline deadline);

} // namespace waggle

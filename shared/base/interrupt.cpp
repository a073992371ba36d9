#include "shared/base/interrupt.hpp"

#include "shared/base/error.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace waggle {

Interrupt::Interrupt() : pipe_(make_pipe()) {
    ::fcntl(pipe_.write.get(), F_SETFL, O_NONBLOCK);
}

void Interrupt::request() noexcept {
    if (requested_.exchange(true))
        return;
    // No thread reads the byte, so the pipe stays readable for every thread that polls it.
    int saved_errno = errno;
    [[maybe_unused]] ssize_t written = ::write(pipe_.write.get(), "!", 1);
    errno = saved_errno;
}

void Interrupt::check() const {
    if (requested())
        throw Interrupted("interrupted");
}

void Interrupt::wait(std::chrono::milliseconds duration) const {
    pollfd entry{.fd = fd(), .events = POLLIN, .revents = 0};
    ::poll(&entry, 1, static_cast<int>(duration.count()));
    check();
}

} // namespace waggle

#include "shared/nix/duplex_channel.hpp"

#include "shared/base/error.hpp"
#include "shared/nix/plain_text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace waggle::nix {

namespace {

constexpr size_t read_bytes = 64 << 10;
constexpr size_t max_unread_bytes = 4 << 20; // while we send; a peer that sends more was not asked for it
constexpr size_t max_err_tail_bytes = 4 << 10;
constexpr std::chrono::milliseconds exit_grace{1000};

void set_non_blocking(int fd) {
    int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        throw SystemError("fcntl");
}

// Keeps a write to a closed pipe from raising SIGPIPE in this thread (there is no MSG_NOSIGNAL for pipes), without
// changing how the program handles that signal.
class NoSigpipe {
public:
    NoSigpipe() {
        sigset_t pending;
        sigemptyset(&sigpipe_);
        sigaddset(&sigpipe_, SIGPIPE);
        sigpending(&pending);
        was_pending_ = sigismember(&pending, SIGPIPE) == 1;
        pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
    }
    NoSigpipe(const NoSigpipe&) = delete;
    NoSigpipe& operator=(const NoSigpipe&) = delete;
    ~NoSigpipe() {
        int saved_errno = errno;
        sigset_t pending;
        sigpending(&pending);
        int signal = 0;
        if (!was_pending_ && sigismember(&pending, SIGPIPE) == 1)
            sigwait(&sigpipe_, &signal);
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        errno = saved_errno;
    }

private:
    sigset_t sigpipe_;
    sigset_t before_;
    bool was_pending_ = false;
};

} // namespace

DuplexChannel::DuplexChannel(Fd socket, std::chrono::milliseconds stall_timeout)
    : stall_timeout_(stall_timeout), socket_(std::move(socket)), in_(socket_.get()), out_(socket_.get()) {
    set_up();
}

DuplexChannel::DuplexChannel(Child child, std::chrono::milliseconds stall_timeout)
    : stall_timeout_(stall_timeout), child_(std::move(child)), in_(child_->stdout_pipe().get()),
      out_(child_->stdin_pipe().get()), err_(child_->stderr_pipe().get()) {
    set_up();
}

DuplexChannel::~DuplexChannel() {
    close();
}

void DuplexChannel::set_up() {
    for (int fd : {in_, out_, err_})
        if (fd >= 0)
            set_non_blocking(fd);
}

void DuplexChannel::write(std::string_view bytes) {
    if (output_start_ == output_.size()) {
        output_.clear();
        output_start_ = 0;
    }
    output_ += bytes;
}

void DuplexChannel::flush() {
    while (output_start_ < output_.size() && peer_reads_)
        pump(false);
    if (!peer_reads_ && !has_input()) // its last output, or the end of it
        pump(true);
}

void DuplexChannel::read(std::span<std::byte> buffer) {
    while (!buffer.empty())
        buffer = buffer.subspan(read_some(buffer));
}

size_t DuplexChannel::read_some(std::span<std::byte> buffer) {
    while (!has_input())
        pump(true);
    size_t count = std::min(buffer.size(), input_.size() - input_start_);
    std::memcpy(buffer.data(), input_.data() + input_start_, count);
    input_start_ += count;
    return count;
}

// Waits for one step of progress in either direction and makes it. If `until_input`, the caller needs input, so the end
// of the stream is an error.
void DuplexChannel::pump(bool until_input) {
    if (in_ < 0)
        throw DaemonError("the connection to the nix daemon is closed");
    const Deadline deadline = patience_ ? patience_->deadline : deadline_in(stall_timeout_);
    const Interrupt* interrupt = patience_ ? patience_->interrupt : watch_.interrupt;
    for (;;) {
        if (at_end_ && (until_input || !peer_reads_))
            fail_closed();
        bool wants_output = peer_reads_ && output_start_ < output_.size();
        std::array<pollfd, 4> entries{pollfd{at_end_ ? -1 : in_, POLLIN, 0},
                                      pollfd{wants_output ? out_ : -1, POLLOUT, 0}, pollfd{err_, POLLIN, 0},
                                      pollfd{interrupt == nullptr ? -1 : interrupt->fd(), POLLIN, 0}};
        wait_for(entries, interrupt, deadline);
        if (patience_ && std::chrono::steady_clock::now() >= patience_->deadline)
            fail_stalled(); // however much it sends
        if (entries[2].revents)
            drain_stderr();
        if (entries[0].revents)
            receive();
        if (entries[1].revents)
            send();
        if (entries[0].revents || entries[1].revents) {
            if (at_end_ && until_input && !has_input())
                fail_closed();
            return;
        }
    }
}

void DuplexChannel::wait_for(std::span<pollfd> entries, const Interrupt* interrupt, Deadline deadline) {
    std::optional<Deadline> report_at;
    if (watch_.report && !patience_)
        report_at = std::min(deadline, deadline_in(watch_.report_after));
    for (;;) {
        const int ready = ::poll(entries.data(), entries.size(), poll_timeout_ms(report_at.value_or(deadline)));
        if (ready < 0 && errno != EINTR)
            throw SystemError("poll");
        if (interrupt != nullptr)
            interrupt->check();
        if (ready > 0)
            return;
        const auto now = std::chrono::steady_clock::now();
        if (ready == 0 && now >= deadline)
            fail_stalled();
        if (report_at && now >= *report_at) {
            report_at.reset();
            watch_.report();
        }
    }
}

void DuplexChannel::receive() {
    if (input_start_ > 0) {
        input_.erase(0, input_start_);
        input_start_ = 0;
    }
    if (input_.size() > max_unread_bytes)
        throw DaemonError("the nix daemon sends more than it was asked for");
    size_t before = input_.size();
    input_.resize(before + read_bytes);
    ssize_t count = ::read(in_, input_.data() + before, read_bytes);
    int error_number = errno;
    input_.resize(before + (count > 0 ? static_cast<size_t>(count) : 0));
    if (count == 0 || (count < 0 && error_number == ECONNRESET))
        at_end_ = true;
    else if (count < 0 && error_number != EAGAIN && error_number != EINTR)
        throw DaemonError(SystemError("reading from the nix daemon", error_number).what());
}

void DuplexChannel::send() {
    NoSigpipe guard;
    ssize_t count = ::write(out_, output_.data() + output_start_, output_.size() - output_start_);
    if (count > 0)
        output_start_ += static_cast<size_t>(count);
    else if (count < 0 && (errno == EPIPE || errno == ECONNRESET))
        peer_reads_ = false; // but it may have sent the reason
    else if (count < 0 && errno != EAGAIN && errno != EINTR)
        throw DaemonError(SystemError("writing to the nix daemon").what());
}

void DuplexChannel::drain_stderr() {
    std::array<char, 4096> buffer;
    ssize_t count = ::read(err_, buffer.data(), buffer.size());
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
        err_ = -1; // the child owns the pipe and closes it
        return;
    }
    if (count > 0)
        err_tail_.append(buffer.data(), static_cast<size_t>(count));
    if (err_tail_.size() > max_err_tail_bytes)
        err_tail_.erase(0, err_tail_.size() - max_err_tail_bytes);
}

void DuplexChannel::fail_stalled() {
    if (patience_)
        throw Stalled("it exceeded its time limit");
    auto seconds = std::chrono::duration<double>(stall_timeout_).count();
    throw Stalled(fmt::format("the nix daemon has made no progress for {:g} s", seconds));
}

void DuplexChannel::fail_closed() {
    if (!child_)
        throw DaemonError("the nix daemon has closed the connection");
    // The child has closed its output, so it is about to end, and its last output gives the reason.
    Deadline deadline = deadline_in(exit_grace);
    while (err_ >= 0) {
        pollfd entry{err_, POLLIN, 0};
        if (::poll(&entry, 1, poll_timeout_ms(deadline)) <= 0)
            break;
        drain_stderr();
    }
    std::string message = "nix-daemon --stdio has closed the connection";
    if (std::string said = plain_text(err_tail_, max_err_tail_bytes); !said.empty())
        message += ": " + said.substr(0, said.find_last_not_of("\n ") + 1);
    throw DaemonError(message);
}

void DuplexChannel::close() noexcept {
    in_ = out_ = err_ = -1;
    socket_.close();
    if (!child_)
        return;
    child_->stdin_pipe().close();
    child_->stdout_pipe().close();
    child_->stderr_pipe().close();
    try {
        child_->wait(deadline_in(exit_grace));
    } catch (const std::exception&) {
        child_->kill(SIGKILL);
    }
    child_.reset();
}

} // namespace waggle::nix

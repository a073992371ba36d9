#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/base/process.hpp"
#include "shared/nix/daemon_error.hpp"

#include <poll.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace waggle::nix {

// The peer has neither sent nor accepted anything for too long.
class Stalled : public DaemonError {
public:
    using DaemonError::DaemonError;
};

// What to do during every wait.
struct Watch {
    const Interrupt* interrupt = nullptr; // when requested, the wait throws Interrupted
    std::chrono::milliseconds report_after{0};
    std::function<void()> report; // called once if a wait makes no progress for so long; may be empty
};

// The limits of a wait that may be long.
struct Patience {
    Deadline deadline; // for the whole wait, whether or not anything arrives
    const Interrupt* interrupt = nullptr;
};

// A byte stream in both directions to a socket or to a child's standard streams. Output is queued and sent while
// waiting for input, so both sides may be busy sending without a deadlock. Every wait without progress for
// `stall_timeout` throws Stalled. An early end of the stream throws DaemonError.
class DuplexChannel {
public:
    DuplexChannel(Fd socket, std::chrono::milliseconds stall_timeout);
    // The child has pipes on all three streams. Its standard error is kept for error messages.
    DuplexChannel(Child child, std::chrono::milliseconds stall_timeout);
    DuplexChannel(const DuplexChannel&) = delete;
    DuplexChannel& operator=(const DuplexChannel&) = delete;
    ~DuplexChannel();

    // Sets other limits for every later wait: it throws Stalled at the deadline, and Interrupted when requested.
    void set_patience(std::optional<Patience> patience) { patience_ = patience; }
    // Applies while no patience is set.
    void set_watch(Watch watch) { watch_ = std::move(watch); }

    void write(std::string_view bytes);
    // Sends everything that is queued. Returns early if the peer has stopped reading but has sent something: see
    // has_input.
    void flush();

    void read(std::span<std::byte> buffer);
    // Reads the available bytes, at least one.
    size_t read_some(std::span<std::byte> buffer);
    // Whether bytes have arrived that have not been read yet.
    bool has_input() const { return input_start_ < input_.size(); }

    // Closes the connection. A child gets a moment to exit by itself and is then killed.
    void close() noexcept;
    bool is_open() const { return in_ >= 0; }

private:
    void set_up();
    void pump(bool until_input);
    // Waits until one of them is ready. Throws Stalled and Interrupted.
    void wait_for(std::span<pollfd> entries, const Interrupt* interrupt, Deadline deadline);
    void receive();
    void send();
    void drain_stderr();
    [[noreturn]] void fail_stalled();
    [[noreturn]] void fail_closed();

    std::chrono::milliseconds stall_timeout_;
    std::optional<Patience> patience_;
    Watch watch_;
    Fd socket_;
    std::optional<Child> child_;
    int in_ = -1;
    int out_ = -1;
    int err_ = -1;
    bool peer_reads_ = true;
    bool at_end_ = false;
    std::string input_;
    size_t input_start_ = 0;
    std::string output_;
    size_t output_start_ = 0;
    std::string err_tail_;
};

} // namespace waggle::nix

#pragma once

#include "shared/nix/build_log.hpp"
#include "shared/nix/duplex_channel.hpp"
#include "shared/nix/worker_wire.hpp"

#include <string>
#include <vector>

namespace waggle::nix {

// A worker protocol connection after its handshake: the part that all operations share. While an operation runs, the
// daemon sends log messages, which end with "last" (the answer follows) or an error.
class WorkerConnection {
public:
    // Performs the handshake as a client of version 1.35. Throws DaemonError for a daemon older than 1.32.
    template <typename Stream>
    WorkerConnection(Stream stream, std::chrono::milliseconds stall_timeout)
        : channel_(std::move(stream), stall_timeout), reader_(channel_) {
        shake_hands();
    }

    unsigned protocol_minor() const { return minor_; }
    const std::string& nix_version() const { return nix_version_; }

    // Queues bytes, which are sent while answers are read.
    void send(std::string_view bytes) { channel_.write(bytes); }
    // Reads log messages up to the answer, which the caller then reads from reader(). Throws OperationFailed with the
    // daemon's own text if the daemon returns an error.
    void await_answer();
    // Sends everything that is queued. Throws DaemonError if the daemon answers before it has received everything.
    void flush_before_answer();

    WireReader& reader() { return reader_; }
    DuplexChannel& channel() { return channel_; }
    // The daemon's latest log line, which names what it waits for, or "" if there is none.
    const std::string& last_log_line() const { return last_log_line_; }
    // Sets the receiver of later log messages of the daemon; null: none.
    void set_listener(BuildLog* listener) { listener_ = listener; }

private:
    void shake_hands();
    bool take_message();
    void take_activity();
    std::vector<std::string> take_fields(); // a number as ""
    [[noreturn]] void throw_error();

    DuplexChannel channel_;
    WireReader reader_;
    unsigned minor_ = 0;
    std::string nix_version_;
    std::string last_log_line_;
    BuildLog* listener_ = nullptr;
};

} // namespace waggle::nix

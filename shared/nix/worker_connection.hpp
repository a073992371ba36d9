#pragma once

#include "shared/nix/build_log.hpp"
#include "shared/nix/duplex_channel.hpp"
#include "shared/nix/worker_wire.hpp"

#include <string>
#include <vector>

namespace waggle::nix {

// A worker protocol connection after its handshake: the part that all operations share. While an operation runs the
// daemon sends log messages, ended by "last" (the answer follows) or an error.
class WorkerConnection {
public:
    // Shakes hands as a client that speaks 1.35. Throws DaemonError for a daemon older than 1.32.
    template <typename Stream>
    WorkerConnection(Stream stream, std::chrono::milliseconds stall_timeout)
        : channel_(std::move(stream), stall_timeout), reader_(channel_) {
        shake_hands();
    }

    unsigned protocol_minor() const { return minor_; }
    const std::string& nix_version() const { return nix_version_; }

    // Queues bytes; they are sent while answers are read.
    void send(std::string_view bytes) { channel_.write(bytes); }
    // Reads log messages up to the answer, which is then to be read from reader(). Throws OperationFailed with the
    // daemon's own words when it answers with an error.
    void await_answer();
    // Sends what is queued. Throws DaemonError when the daemon answers before it has everything.
    void flush_before_answer();

    WireReader& reader() { return reader_; }
    DuplexChannel& channel() { return channel_; }
    // What the daemon has last logged, "" if nothing: it says what it waits for.
    const std::string& last_log_line() const { return last_log_line_; }
    // Who is told what the daemon logs from now on; null: nobody.
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

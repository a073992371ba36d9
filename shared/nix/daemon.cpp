#include "shared/nix/daemon.hpp"

#include "shared/nix/worker_connection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace waggle::nix {

namespace {

constexpr const char* default_socket = "/nix/var/nix/daemon-socket/socket";
constexpr size_t frame_bytes = 64 << 10;       // larger ones are not faster (measured)
constexpr size_t max_missing = 1 << 20;        // paths; a system with all its tools has some 10 000
constexpr size_t max_requests_in_flight = 128; // small ones: 128 of them fit any pipe
constexpr std::string_view nar_end("\1\0\0\0\0\0\0\0)\0\0\0\0\0\0\0", 16);

std::string connect_failure(const std::filesystem::path& socket, const std::exception& cause) {
    return fmt::format("cannot talk to the nix daemon at {}: {}; see `systemctl status nix-daemon.socket`",
                       socket.string(), cause.what());
}

Fd connect_if_listening(const char* socket, std::chrono::milliseconds timeout) {
    try {
        return connect_unix(socket, deadline_in(timeout));
    } catch (const Error&) {
        return Fd();
    }
}

// Reads until the buffer is full or the source has ended.
size_t fill(const NarSource& source, std::span<std::byte> buffer) {
    size_t filled = 0;
    while (filled < buffer.size()) {
        size_t count = source(buffer.subspan(filled));
        if (count == 0)
            break;
        filled += count;
    }
    return filled;
}

void send_frame(WorkerConnection& connection, std::span<const std::byte> bytes) {
    WireWriter length;
    length.number(bytes.size());
    connection.send(length.bytes());
    connection.send({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    connection.flush_before_answer();
}

// Sends the NAR except for its last bytes, and returns these once the source has ended without an error and the size is
// right. A daemon that has received all bytes registers the path, whatever follows or fails to follow them.
std::vector<std::byte> send_all_but_last(WorkerConnection& connection, const PathInfo& info, const NarSource& nar) {
    std::vector<std::byte> held(frame_bytes), next(frame_bytes);
    held.resize(fill(nar, held));
    std::uint64_t total = held.size();
    for (bool ended = held.size() < frame_bytes; !ended && total <= info.nar_size;) {
        next.resize(frame_bytes);
        next.resize(fill(nar, next));
        ended = next.size() < frame_bytes;
        total += next.size();
        if (next.empty() || total > info.nar_size)
            break;
        send_frame(connection, held);
        std::swap(held, next);
    }
    if (total > info.nar_size)
        throw Error(fmt::format("the NAR of {} is larger than the {} bytes it should have", info.path.absolute(),
                                info.nar_size));
    if (total < info.nar_size)
        throw Error(
            fmt::format("the NAR of {} ended after {} of {} bytes", info.path.absolute(), total, info.nar_size));
    return held;
}

} // namespace

class Daemon::Impl {
public:
    template <typename Stream>
    Impl(Stream stream, std::chrono::milliseconds stall_timeout) : connection_(std::move(stream), stall_timeout) {}

    const WorkerConnection& connection() const { return connection_; }

    void set_wait_options(WaitOptions options) {
        Watch watch{.interrupt = options.interrupt, .report_after = options.report_after, .report = {}};
        if (options.on_wait)
            watch.report = [this, on_wait = std::move(options.on_wait)] { on_wait(doing_); };
        connection_.channel().set_watch(std::move(watch));
    }

    // Runs one operation. `what` names it in errors. After any error it closes the connection, because the rest of an
    // answer or of a request may still be under way.
    template <typename Operation>
    auto run(const std::string& what, Operation operation) {
        if (!connection_.channel().is_open())
            throw DaemonError(what + ": the connection to the nix daemon was closed after an earlier error");
        doing_ = what;
        try {
            return operation(connection_);
        } catch (const Stalled& error) {
            connection_.channel().close();
            std::string said = connection_.last_log_line();
            throw DaemonError(
                fmt::format("{}: {}{}", what, error.what(), said.empty() ? "" : "; it last said: " + said));
        } catch (const DaemonError& error) {
            connection_.channel().close();
            throw DaemonError(fmt::format("{}: {}", what, error.what()));
        } catch (...) {
            connection_.channel().close();
            throw;
        }
    }

    // Calls `request(i, writer)` and `answer(i, reader)` for 0 ≤ i < count, with many requests ahead of their answers.
    template <typename Request, typename Answer>
    void pipeline(const std::string& what, size_t count, Request request, Answer answer) {
        run(what, [&](WorkerConnection& connection) {
            size_t asked = 0;
            for (size_t answered = 0; answered < count; ++answered) {
                for (; asked < count && asked - answered < max_requests_in_flight; ++asked) {
                    WireWriter writer;
                    request(asked, writer);
                    connection.send(writer.bytes());
                }
                connection.await_answer();
                answer(answered, connection.reader());
            }
        });
    }

private:
    WorkerConnection connection_;
    std::string doing_;
};

Daemon::Daemon(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Daemon::Daemon(Daemon&&) noexcept = default;
Daemon& Daemon::operator=(Daemon&&) noexcept = default;
Daemon::~Daemon() = default;

Daemon Daemon::connect(const std::filesystem::path& socket, std::chrono::milliseconds stall_timeout) {
    Fd fd;
    try {
        fd = connect_unix(socket.c_str(), deadline_in(stall_timeout));
    } catch (const Error& error) {
        throw DaemonError(connect_failure(socket, error));
    }
    return over(std::move(fd), socket, stall_timeout);
}

Daemon Daemon::over(Fd connected, const std::filesystem::path& socket, std::chrono::milliseconds stall_timeout) {
    try {
        return Daemon(std::make_unique<Impl>(std::move(connected), stall_timeout));
    } catch (const Error& error) {
        throw DaemonError(connect_failure(socket, error));
    }
}

Daemon Daemon::spawn(const Command& command, std::chrono::milliseconds stall_timeout) {
    try {
        Child child(command, {.pipe_stdin = true, .pipe_stdout = true, .pipe_stderr = true});
        return Daemon(std::make_unique<Impl>(std::move(child), stall_timeout));
    } catch (const Error& error) {
        throw DaemonError(fmt::format("cannot open the nix store by {}: {}", command.to_string(), error.what()));
    }
}

Daemon Daemon::open_default(std::chrono::milliseconds stall_timeout) {
    const char* remote = std::getenv("NIX_REMOTE");
    const char* named = std::getenv("NIX_DAEMON_SOCKET_PATH");
    const char* socket = named && *named ? named : default_socket;
    Fd fd;
    if (!remote || !*remote)
        fd = connect_if_listening(socket, stall_timeout);
    if (!fd) // then Nix opens the store itself, or reports why it cannot
        return spawn({.argv = {"nix-daemon", "--stdio"}, .extra_environment = {}}, stall_timeout);
    return over(std::move(fd), socket, stall_timeout);
}

void Daemon::set_wait_options(WaitOptions options) {
    impl_->set_wait_options(std::move(options));
}

unsigned Daemon::protocol_minor() const {
    return impl_->connection().protocol_minor();
}

const std::string& Daemon::nix_version() const {
    return impl_->connection().nix_version();
}

std::set<StorePath> Daemon::query_valid_paths(std::span<const StorePath> paths) {
    return impl_->run("asking which paths are valid", [&](WorkerConnection& connection) {
        WireWriter request;
        request.op(WorkerOp::query_valid_paths);
        request.paths(paths);
        request.boolean(false); // substitute
        connection.send(request.bytes());
        connection.await_answer();
        std::vector<StorePath> valid = connection.reader().paths(paths.size());
        return std::set<StorePath>(valid.begin(), valid.end());
    });
}

std::vector<std::optional<PathInfo>> Daemon::query_path_infos(std::span<const StorePath> paths) {
    std::vector<std::optional<PathInfo>> infos;
    infos.reserve(paths.size());
    impl_->pipeline(
        "asking for path infos", paths.size(),
        [&](size_t i, WireWriter& request) {
            request.op(WorkerOp::query_path_info);
            request.path(paths[i]);
        },
        [&](size_t i, WireReader& reader) {
            bool valid = reader.boolean();
            infos.push_back(valid ? std::optional(reader.path_info(paths[i])) : std::nullopt);
        });
    return infos;
}

void Daemon::add_temp_roots(std::span<const StorePath> paths) {
    impl_->pipeline(
        "adding temporary roots", paths.size(),
        [&](size_t i, WireWriter& request) {
            request.op(WorkerOp::add_temp_root);
            request.path(paths[i]);
        },
        [](size_t, WireReader& reader) { reader.number(); }); // always 1
}

void Daemon::add_indirect_root(const std::filesystem::path& link) {
    impl_->run(fmt::format("adding the GC root {}", link.string()), [&](WorkerConnection& connection) {
        WireWriter request;
        request.op(WorkerOp::add_indirect_root);
        request.string(link.string());
        connection.send(request.bytes());
        connection.await_answer();
        connection.reader().number(); // always 1
    });
}

void Daemon::add_to_store_nar(const PathInfo& info, const NarSource& nar, bool replace) {
    impl_->run(fmt::format("adding {} to the store", info.path.absolute()), [&](WorkerConnection& connection) {
        WireWriter request;
        request.op(WorkerOp::add_to_store_nar);
        request.path_info(info);
        request.boolean(replace); // "repair"
        request.boolean(true); // do not check signatures: the caller knows from elsewhere that this is the right hash
        connection.send(request.bytes());
        send_frame(connection, send_all_but_last(connection, info, nar));
        WireWriter end;
        end.number(0);
        connection.send(end.bytes());
        connection.await_answer();
    });
}

void Daemon::nar_from_path(const StorePath& path, std::uint64_t nar_size, const NarSink& sink) {
    impl_->run(fmt::format("reading {} from the store", path.absolute()), [&](WorkerConnection& connection) {
        // A daemon that fails in the middle of a NAR writes its error into it, so first ask whether the path is valid.
        WireWriter request;
        request.op(WorkerOp::is_valid_path);
        request.path(path);
        request.op(WorkerOp::nar_from_path);
        request.path(path);
        connection.send(request.bytes());
        connection.await_answer();
        if (!connection.reader().boolean())
            throw DaemonError("the path is not valid");
        connection.await_answer();
        std::vector<std::byte> buffer(frame_bytes);
        std::string tail; // the last bytes so far
        for (std::uint64_t left = nar_size; left > 0;) {
            auto wanted = static_cast<size_t>(std::min<std::uint64_t>(left, buffer.size()));
            auto bytes = std::span(buffer).first(connection.channel().read_some(std::span(buffer).first(wanted)));
            left -= bytes.size();
            auto last = bytes.last(std::min(bytes.size(), nar_end.size()));
            tail.append(reinterpret_cast<const char*>(last.data()), last.size());
            tail.erase(0, tail.size() - std::min(tail.size(), nar_end.size()));
            sink(bytes);
        }
        // The wire carries no length of a NAR. If this were not its end, its remaining bytes would be read as the next
        // answer.
        if (tail != nar_end || connection.channel().has_input())
            throw DaemonError(fmt::format("its NAR does not end after {} bytes", nar_size));
    });
}

std::set<StorePath> Daemon::query_will_build(std::span<const StorePath> derivations) {
    return impl_->run("asking what is to be built", [&](WorkerConnection& connection) {
        WireWriter request;
        request.op(WorkerOp::query_missing);
        request.number(derivations.size());
        for (const StorePath& derivation : derivations)
            request.string(derivation.absolute() + "!*"); // all outputs
        connection.send(request.bytes());
        connection.await_answer();
        WireReader& reader = connection.reader();
        std::vector<StorePath> to_build = reader.paths(max_missing);
        reader.paths(max_missing); // to be substituted
        reader.paths(max_missing); // unknown
        reader.number();           // bytes to download
        reader.number();           // their size when unpacked
        return std::set<StorePath>(to_build.begin(), to_build.end());
    });
}

void Daemon::build(const StorePath& derivation, const BuildOptions& options) {
    impl_->run(fmt::format("building {}", derivation.absolute()), [&](WorkerConnection& connection) {
        BuildLog log(options.on_line);
        connection.set_listener(&log);
        connection.channel().set_patience(Patience{options.deadline, &options.interrupt});
        WireWriter request;
        request.op(WorkerOp::build_paths);
        request.number(1);
        request.string(derivation.absolute() + "!*"); // all outputs
        request.number(0);                            // build what is missing; repair and check nothing
        connection.send(request.bytes());
        try {
            connection.await_answer();
        } catch (const OperationFailed& error) {
            throw BuildFailed(fmt::format("{}error: {}", log.errors(), error.what()));
        }
        connection.reader().number(); // always 1
        connection.channel().set_patience(std::nullopt);
        connection.set_listener(nullptr);
    });
}

} // namespace waggle::nix

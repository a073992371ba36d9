#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/base/process.hpp"
#include "shared/nix/daemon_error.hpp"
#include "shared/nix/path_info.hpp"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::nix {

struct BuildOptions {
    Deadline deadline;          // of the build; builders may be silent until then
    const Interrupt& interrupt; // a request cancels the build, and the daemon kills its builders
    std::function<void(std::string_view)> on_line;
};

// Fills the buffer with the next bytes of a NAR and returns their number, 0 at its end. May throw; then nothing is
// registered.
using NarSource = std::function<size_t(std::span<std::byte>)>;
using NarSink = std::function<void(std::span<const std::byte>)>;

// How to wait for the daemon, which sends nothing while it waits itself: for a lock of another process, or for a disk.
struct WaitOptions {
    const Interrupt* interrupt = nullptr;            // when requested, the wait throws Interrupted
    std::chrono::milliseconds report_after{0};       // without progress
    std::function<void(const std::string&)> on_wait; // called once for each wait of this length, with the operation
};

// A connection to a Nix store over the worker protocol (offers 1.35, negotiates down to 1.32). Temporary roots last as
// long as the connection. After an exception the connection is unusable.
class Daemon {
public:
    // Connects to the daemon's socket, usually /nix/var/nix/daemon-socket/socket. A call that makes no progress for
    // `stall_timeout` throws DaemonError.
    static Daemon connect(const std::filesystem::path& socket, std::chrono::milliseconds stall_timeout);
    // Starts a child that speaks the protocol on its standard streams: {"nix-daemon", "--stdio"}.
    static Daemon spawn(const Command& command, std::chrono::milliseconds stall_timeout);
    // Opens this machine's default store: the socket if a daemon listens on it, otherwise `nix-daemon --stdio`.
    static Daemon open_default(std::chrono::milliseconds stall_timeout);

    Daemon(Daemon&&) noexcept;
    Daemon& operator=(Daemon&&) noexcept;
    ~Daemon();

    // Applies to every later wait, except that builds have a deadline and an interrupt of their own.
    void set_wait_options(WaitOptions options);

    unsigned protocol_minor() const;        // 35 for 1.35
    const std::string& nix_version() const; // "" before protocol 1.33

    // Returns the valid ones of the paths. Substitutes nothing.
    std::set<StorePath> query_valid_paths(std::span<const StorePath> paths);
    // Returns the derivations that must be built for all outputs of these: those that are neither valid nor available
    // from a substituter.
    std::set<StorePath> query_will_build(std::span<const StorePath> derivations);
    // Returns the infos in the order of the paths, nullopt for a path that is not valid. Requests are pipelined.
    std::vector<std::optional<PathInfo>> query_path_infos(std::span<const StorePath> paths);
    // Protects the paths (valid or not) from the garbage collector while this connection is open. Pipelined.
    void add_temp_roots(std::span<const StorePath> paths);
    // Registers the symbolic link (absolute path, outside the store) as an indirect GC root.
    void add_indirect_root(const std::filesystem::path& link);
    // Streams a NAR into the store under the given info. The daemon also checks hash and size. If the source throws or
    // ends early, the connection is dropped before the daemon can register anything. A valid path stays unchanged,
    // unless `replace` is set, for a path whose files differ from its info.
    void add_to_store_nar(const PathInfo& info, const NarSource& nar, bool replace = false);
    // Writes the path's NAR (info.nar_size bytes) to the sink.
    void nar_from_path(const StorePath& path, std::uint64_t nar_size, const NarSink& sink);
    // Builds or substitutes all outputs of the derivation; they become temporary roots. Throws BuildFailed and
    // Interrupted.
    void build(const StorePath& derivation, const BuildOptions& options);

private:
    class Impl;
    explicit Daemon(std::unique_ptr<Impl> impl);
    static Daemon over(Fd connected, const std::filesystem::path& socket, std::chrono::milliseconds stall_timeout);
    std::unique_ptr<Impl> impl_;
};

// Returns the closure of `root`, references before referrers, ties in the order of the paths. Queries level by level,
// pipelined. Throws Error if a path is not valid.
std::vector<PathInfo> query_closure(Daemon& daemon, const StorePath& root);

} // namespace waggle::nix

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
    Deadline deadline;          // builders may be silent for as long
    const Interrupt& interrupt; // asked for: the build is given up, and the daemon kills its builders
    std::function<void(std::string_view)> on_line;
};

// Fills the buffer with the next bytes of a NAR and says how many; 0 at its end. May throw: nothing is then registered.
using NarSource = std::function<size_t(std::span<std::byte>)>;
using NarSink = std::function<void(std::span<const std::byte>)>;

// Waits for the daemon, which says nothing while it waits itself: for a lock that another process holds, for a disk.
struct WaitOptions {
    const Interrupt* interrupt = nullptr;            // asked for: what waits throws Interrupted
    std::chrono::milliseconds report_after{0};       // without progress
    std::function<void(const std::string&)> on_wait; // called once for each wait that lasts so long, with what is done
};

// One connection to a Nix store by the worker protocol (offered as 1.35, negotiated down to 1.32).
// Temporary roots last as long as the connection. After an exception it is of no more use.
class Daemon {
public:
    // The daemon's socket, usually /nix/var/nix/daemon-socket/socket. A call that makes no progress
    // for `stall_timeout` throws DaemonError.
    static Daemon connect(const std::filesystem::path& socket, std::chrono::milliseconds stall_timeout);
    // A child that speaks the protocol on its standard streams: {"nix-daemon", "--stdio"}.
    static Daemon spawn(const Command& command, std::chrono::milliseconds stall_timeout);
    // The default store of this machine: the socket when it is there, else `nix-daemon --stdio`.
    static Daemon open_default(std::chrono::milliseconds stall_timeout);

    Daemon(Daemon&&) noexcept;
    Daemon& operator=(Daemon&&) noexcept;
    ~Daemon();

    // For every wait from now on; builds have a deadline and an interrupt of their own.
    void set_wait_options(WaitOptions options);

    unsigned protocol_minor() const;        // 35 for 1.35
    const std::string& nix_version() const; // "" before protocol 1.33

    // Which of the paths are valid; substitutes nothing.
    std::set<StorePath> query_valid_paths(std::span<const StorePath> paths);
    // The derivations that building all outputs of these would build: those that are neither valid nor to be had from a
    // substituter.
    std::set<StorePath> query_will_build(std::span<const StorePath> derivations);
    // In the order asked for, nullopt for a path that is not valid. Requests are pipelined.
    std::vector<std::optional<PathInfo>> query_path_infos(std::span<const StorePath> paths);
    // Keeps the paths (valid or not) from the garbage collector while this connection lives. Pipelined.
    void add_temp_roots(std::span<const StorePath> paths);
    // Registers the symbolic link (absolute path, outside the store) as an indirect GC root.
    void add_indirect_root(const std::filesystem::path& link);
    // Streams a NAR into the store under the given info. The daemon checks hash and size, too; when the source throws
    // or ends early the connection is dropped before the daemon can register anything. A path that is valid stays as it
    // is, but with `replace`, for one whose files are not what its info says.
    void add_to_store_nar(const PathInfo& info, const NarSource& nar, bool replace = false);
    // Writes the path's NAR (info.nar_size bytes) to the sink.
    void nar_from_path(const StorePath& path, std::uint64_t nar_size, const NarSink& sink);
    // Builds all outputs of the derivation, or has them substituted; they are temporary roots. Throws BuildFailed, and
    // Interrupted.
    void build(const StorePath& derivation, const BuildOptions& options);

private:
    class Impl;
    explicit Daemon(std::unique_ptr<Impl> impl);
    static Daemon over(Fd connected, const std::filesystem::path& socket, std::chrono::milliseconds stall_timeout);
    std::unique_ptr<Impl> impl_;
};

// The closure of `root`, references before referrers, ties in the order of the paths. Level by level, pipelined.
// Throws Error when a path is not valid.
std::vector<PathInfo> query_closure(Daemon& daemon, const StorePath& root);

} // namespace waggle::nix

#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/nix/daemon.hpp"
#include "shared/nix/path_info.hpp"
#include "shared/nix/store_path.hpp"

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace waggle::agent {

// The operations on the node's Nix store that a deployment needs, over one connection. Temporary roots last as long as
// the object.
class NodeStore {
public:
    virtual ~NodeStore() = default;

    // From now on, a request of `interrupt` ends every wait for the nix daemon with Interrupted, and a long wait calls
    // `on_wait` with what it waits for. Builds wait as nix::BuildOptions say.
    virtual void watch_waits(const Interrupt& interrupt, std::function<void(const std::string&)> on_wait) = 0;
    virtual std::string nix_version() = 0;
    virtual void add_temp_roots(std::span<const nix::StorePath> paths) = 0;
    virtual std::set<nix::StorePath> query_valid_paths(std::span<const nix::StorePath> paths) = 0;
    virtual std::vector<std::optional<nix::PathInfo>> query_path_infos(std::span<const nix::StorePath> paths) = 0;
    // Whether a valid path has the content that the database records.
    virtual bool is_intact(const nix::PathInfo& info) = 0;
    // Registers nothing if the source throws. `replace` also writes a path that is valid but not intact.
    virtual void add_to_store(const nix::PathInfo& info, const nix::NarSource& nar, bool replace) = 0;
    // Flushes everything that was added to the disk.
    virtual void sync() = 0;
    // As in nix::Daemon.
    virtual void build(const nix::StorePath& derivation, const nix::BuildOptions& options) = 0;
    virtual std::vector<nix::PathInfo> query_closure(const nix::StorePath& root) = 0;
    // Makes the symbolic link `link` → path and registers it as a GC root.
    virtual void add_root(const std::filesystem::path& link, const nix::StorePath& path) = 0;
};

// Connects to the nix daemon's socket. Throws Error if it is not running or does not answer within the given time.
std::unique_ptr<NodeStore> connect_to_nix_daemon(std::chrono::milliseconds stall_timeout);

// How a deployment or a build ends after an error of the nix daemon. A full store has a code of its own.
struct StoreFailure {
    std::string code;
    std::string message;
};
StoreFailure store_failure(const nix::DaemonError& error);

} // namespace waggle::agent

#pragma once

#include "shared/nix/daemon.hpp"
#include "shared/nix/path_info.hpp"
#include "shared/nix/store_path.hpp"

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace waggle::agent {

// The node's Nix store, as far as a deployment needs it. One connection: temporary roots last as long as the object.
class Store {
public:
    virtual ~Store() = default;

    virtual std::string nix_version() = 0;
    virtual void add_temp_roots(std::span<const nix::StorePath> paths) = 0;
    virtual std::set<nix::StorePath> query_valid_paths(std::span<const nix::StorePath> paths) = 0;
    virtual std::vector<std::optional<nix::PathInfo>> query_path_infos(std::span<const nix::StorePath> paths) = 0;
    // Whether a valid path has the content that the database says.
    virtual bool is_intact(const nix::PathInfo& info) = 0;
    // Registers nothing when the source throws. `replace`: also where the path is valid, but not intact.
    virtual void add_to_store(const nix::PathInfo& info, const nix::NarSource& nar, bool replace) = 0;
    // Everything that was added is on the disk when this returns.
    virtual void sync() = 0;
    // As nix::Daemon's.
    virtual void build(const nix::StorePath& derivation, const nix::BuildOptions& options) = 0;
    virtual std::vector<nix::PathInfo> query_closure(const nix::StorePath& root) = 0;
    // Makes the symbolic link `link` → path and registers it as a GC root.
    virtual void add_root(const std::filesystem::path& link, const nix::StorePath& path) = 0;
};

// Connects to the nix daemon's socket; throws Error when it is away, or says nothing for the time given.
std::unique_ptr<Store> connect_to_nix_daemon(std::chrono::milliseconds stall_timeout);

} // namespace waggle::agent

#include "agent/node/node_store.hpp"

#include "shared/base/fault.hpp"
#include "shared/base/fd.hpp"
#include "shared/base/file.hpp"
#include "shared/nix/disk_full.hpp"
#include "shared/nix/nar_hash.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <exception>
#include <utility>

namespace waggle::agent {

namespace {

constexpr auto store_folder = "/nix/store";
constexpr auto daemon_socket = "/nix/var/nix/daemon-socket/socket";
constexpr std::chrono::seconds long_wait{30};

// Nix locks a path with flock(2) on an empty file next to it.
bool is_locked(const std::string& lock) {
    const Fd fd(::open(lock.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    return fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK; // closing the file releases it
}

class NixDaemonStore : public NodeStore {
public:
    explicit NixDaemonStore(nix::Daemon daemon) : daemon_(std::move(daemon)) {}

    void watch_waits(const Interrupt& interrupt, std::function<void(const std::string&)> on_wait) override {
        daemon_.set_wait_options({.interrupt = &interrupt,
                                  .report_after = long_wait,
                                  .on_wait = [this, on_wait = std::move(on_wait)](const std::string& doing) {
                                      on_wait(describe_wait(doing));
                                  }});
    }

    std::string nix_version() override { return daemon_.nix_version(); }

    void add_temp_roots(std::span<const nix::StorePath> paths) override { daemon_.add_temp_roots(paths); }

    std::set<nix::StorePath> query_valid_paths(std::span<const nix::StorePath> paths) override {
        return daemon_.query_valid_paths(paths);
    }

    std::vector<std::optional<nix::PathInfo>> query_path_infos(std::span<const nix::StorePath> paths) override {
        return daemon_.query_path_infos(paths);
    }

    bool is_intact(const nix::PathInfo& info) override {
        try {
            const auto sum = nix::nar_sum(info.path.absolute());
            return sum.size == info.nar_size && sum.hash == info.nar_hash;
        } catch (const std::exception&) {
            return false; // a part of it is missing
        }
    }

    void add_to_store(const nix::PathInfo& info, const nix::NarSource& nar, bool replace) override {
        FaultPoint::has_tree(info.path.absolute());
        lock_ = info.path.absolute() + ".lock";
        daemon_.add_to_store_nar(info, nar, replace);
        lock_.clear();
    }

    void sync() override { sync_file_system(store_folder); }

    void build(const nix::StorePath& derivation, const nix::BuildOptions& options) override {
        daemon_.build(derivation, options);
    }

    std::vector<nix::PathInfo> query_closure(const nix::StorePath& root) override {
        return nix::query_closure(daemon_, root);
    }

    void add_root(const std::filesystem::path& link, const nix::StorePath& path) override {
        make_folders(link.parent_path());
        if (read_link(link) != path.absolute())
            replace_link(link, path.absolute());
        daemon_.add_indirect_root(link);
    }

private:
    std::string describe_wait(const std::string& doing) const {
        const auto seconds = std::chrono::seconds(long_wait).count();
        if (!lock_.empty() && is_locked(lock_))
            return fmt::format("{} has waited for {} s: another process holds the lock {}; on the node, `fuser -v {}` "
                               "names it",
                               doing, seconds, lock_, lock_);
        return fmt::format("{} has waited for {} s: the nix daemon makes no progress; on the node, `systemctl status "
                           "nix-daemon` and `df -h /nix/store` may say why",
                           doing, seconds);
    }

    nix::Daemon daemon_;
    std::string lock_; // of the path that is being added
};

} // namespace

std::unique_ptr<NodeStore> connect_to_nix_daemon(std::chrono::milliseconds stall_timeout) {
    return std::make_unique<NixDaemonStore>(nix::Daemon::connect(daemon_socket, stall_timeout));
}

StoreFailure store_failure(const nix::DaemonError& error) {
    const std::string_view said = error.what();
    if (nix::says_disk_is_full(said))
        return {
            "no-space",
            fmt::format("the node's /nix is full: free space there, for example with nix-collect-garbage ({})", said)};
    return {"store-error", fmt::format("the nix daemon: {}", said)};
}

} // namespace waggle::agent

#include "agent/store.hpp"

#include "shared/base/fault.hpp"
#include "shared/base/file.hpp"
#include "shared/nix/nar_hash.hpp"

#include <chrono>
#include <exception>
#include <utility>

namespace waggle::agent {

namespace {

constexpr auto store_folder = "/nix/store";
constexpr auto daemon_socket = "/nix/var/nix/daemon-socket/socket";

class NixDaemonStore : public Store {
public:
    explicit NixDaemonStore(nix::Daemon daemon) : daemon_(std::move(daemon)) {}

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
            return false; // a part of it is not there
        }
    }

    void add_to_store(const nix::PathInfo& info, const nix::NarSource& nar, bool replace) override {
        FaultPoint::has_tree(info.path.absolute());
        daemon_.add_to_store_nar(info, nar, replace);
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
    nix::Daemon daemon_;
};

} // namespace

std::unique_ptr<Store> connect_to_nix_daemon(std::chrono::milliseconds stall_timeout) {
    return std::make_unique<NixDaemonStore>(nix::Daemon::connect(daemon_socket, stall_timeout));
}

} // namespace waggle::agent

#include "agent/node/gc_roots.hpp"

#include "agent/state/retention.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <exception>
#include <set>
#include <vector>

namespace waggle::agent {

namespace {

namespace fs = std::filesystem;

constexpr auto previous_suffix = "-previous";

Root root_of(const fs::path& link) {
    struct stat info{};
    if (::lstat(link.c_str(), &info) != 0)
        throw SystemError("asking for the age of " + link.string());
    return {.name = link.filename().string(),
            .path = store_path_behind(link),
            .since = Time(std::chrono::seconds(info.st_mtim.tv_sec))};
}

} // namespace

void GcRoots::add(NodeStore& store, const protocol::DeploymentId& id, const nix::StorePath& toplevel,
                  const std::optional<nix::StorePath>& previous, const std::optional<nix::StorePath>& agent) const {
    const auto link = [&](const char* suffix) { return folder_ / (id.brief() + suffix); };
    store.add_root(link(""), toplevel);
    if (previous)
        store.add_root(link(previous_suffix), *previous);
    if (agent)
        store.add_root(link("-agent"), *agent);
}

std::optional<nix::StorePath> GcRoots::previous_system(const protocol::DeploymentId& id) const {
    return store_path_behind(folder_ / (id.brief() + previous_suffix));
}

std::optional<nix::StorePath> GcRoots::newest_previous_system() const {
    std::optional<Root> newest;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder_, none)) {
        if (!entry.path().filename().string().ends_with(previous_suffix))
            continue;
        if (auto root = root_of(entry.path()); !newest || root.since > newest->since)
            newest = std::move(root);
    }
    return newest ? newest->path : std::nullopt;
}

void GcRoots::tidy(const DeploymentRecord& newest, const Host& host, Time now) const noexcept {
    try {
        make_folders(folder_);
        std::set<nix::StorePath> needed;
        for (const auto& path : {host.current_system(), host.booted_system(), host.profile()})
            if (path)
                needed.insert(*path);
        const bool committed = newest.state == protocol::DeploymentState::committed;
        std::vector<fs::path> due;
        for (const auto& entry : fs::directory_iterator(folder_))
            if (!entry.path().filename().string().starts_with(newest.id.brief()) &&
                is_root_due(root_of(entry.path()), committed, needed, now))
                due.push_back(entry.path());
        for (const auto& link : due)
            remove_file(link);
    } catch (const std::exception& error) {
        spdlog::warn("old GC roots were not removed: {}", error.what());
    }
}

} // namespace waggle::agent

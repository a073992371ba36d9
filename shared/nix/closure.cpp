#include "shared/nix/daemon.hpp"

#include <fmt/format.h>

#include <map>
#include <queue>

namespace waggle::nix {

namespace {

constexpr size_t max_closure_paths = 1'000'000; // a large desktop has some tens of thousands

std::map<StorePath, PathInfo> query_reachable(Daemon& daemon, const StorePath& root) {
    std::map<StorePath, PathInfo> reachable;
    std::set<StorePath> level{root};
    while (!level.empty()) {
        std::vector<StorePath> asked(level.begin(), level.end());
        auto infos = daemon.query_path_infos(asked);
        level.clear();
        for (size_t i = 0; i < asked.size(); ++i) {
            if (!infos[i])
                throw Error(fmt::format("{} is not in the store, so the closure of {} is not known",
                                        asked[i].absolute(), root.absolute()));
            reachable.emplace(asked[i], std::move(*infos[i]));
        }
        for (const StorePath& path : asked)
            for (const StorePath& reference : reachable.at(path).references)
                if (!reachable.contains(reference))
                    level.insert(reference);
        if (reachable.size() + level.size() > max_closure_paths)
            throw Error(fmt::format("the closure of {} has more than {} paths", root.absolute(), max_closure_paths));
    }
    return reachable;
}

} // namespace

std::vector<PathInfo> query_closure(Daemon& daemon, const StorePath& root) {
    std::map<StorePath, PathInfo> reachable = query_reachable(daemon, root);

    // Kahn's algorithm. The smallest path whose references are all placed comes next.
    std::map<StorePath, size_t> missing_references;
    std::map<StorePath, std::vector<StorePath>> referrers;
    std::priority_queue<StorePath, std::vector<StorePath>, std::greater<>> ready;
    for (const auto& [path, info] : reachable) {
        size_t missing = 0;
        for (const StorePath& reference : info.references) {
            if (reference == path)
                continue;
            referrers[reference].push_back(path);
            ++missing;
        }
        missing_references[path] = missing;
        if (missing == 0)
            ready.push(path);
    }
    std::vector<PathInfo> closure;
    closure.reserve(reachable.size());
    while (!ready.empty()) {
        StorePath path = ready.top();
        ready.pop();
        for (const StorePath& referrer : referrers[path])
            if (--missing_references[referrer] == 0)
                ready.push(referrer);
        closure.push_back(std::move(reachable.at(path)));
    }
    if (closure.size() != reachable.size())
        throw Error(fmt::format("the references in the closure of {} form a cycle", root.absolute()));
    return closure;
}

} // namespace waggle::nix

#include "agent/state/retention.hpp"

#include <algorithm>

namespace waggle::agent {

std::vector<std::uint64_t> generations_to_drop(std::span<const Generation> generations, size_t keep,
                                               const std::set<nix::StorePath>& needed) {
    std::vector<Generation> newest_first(generations.begin(), generations.end());
    std::ranges::sort(newest_first, std::ranges::greater(), &Generation::number);
    std::vector<std::uint64_t> drop;
    for (size_t i = keep; i < newest_first.size(); ++i)
        if (const auto& [number, system] = newest_first[i]; !system || !needed.contains(*system))
            drop.push_back(number);
    return drop;
}

bool is_root_due(const Root& root, bool newest_committed, const std::set<nix::StorePath>& needed, Time now) {
    if (root.path && needed.contains(*root.path))
        return false;
    const bool of_a_way_back = root.name.ends_with("-previous") || root.name.ends_with("-agent");
    return (of_a_way_back && newest_committed) ||
           now - root.since > (root.name == built_root ? built_root_time : unused_root_time);
}

} // namespace waggle::agent

#include "agent/daemon/history_requests.hpp"

#include "agent/daemon/housekeeping.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace waggle::agent {

protocol::History history_of(const Environment& environment, std::uint64_t limit) {
    remember_end(environment); // a rollback at the console may have changed the newest record
    const auto most = static_cast<size_t>(std::min<std::uint64_t>(limit, protocol::max_history_entries));
    return protocol::History{environment.archive.history(most)};
}

std::variant<protocol::Refused, Archive::Kept> recall(const Environment& environment,
                                                      std::optional<std::uint64_t> generation) {
    if (!generation)
        generation = environment.archive.previous(environment.host.profile());
    if (!generation)
        return protocol::Refused{"unknown-generation", "this node knows no deployment before the running one"};
    if (auto kept = environment.archive.find(*generation))
        return std::move(*kept);
    return protocol::Refused{
        "unknown-generation",
        fmt::format("generation {0} was not made by a deployment that this node still knows; if `nix-env --profile "
                    "/nix/var/nix/profiles/system --list-generations` lists it, run on the node: nix-env --profile "
                    "/nix/var/nix/profiles/system --switch-generation {0}, then "
                    "/nix/var/nix/profiles/system/bin/switch-to-configuration switch",
                    *generation)};
}

} // namespace waggle::agent

#include "shared/net/places.hpp"

#include <algorithm>
#include <map>
#include <string_view>

namespace waggle::net {
namespace {

// Returns the first (oldest) connection of the source that has the most; null if there is none.
const Unproven* oldest_of_most(const std::vector<const Unproven*>& from) {
    std::map<std::string_view, size_t> counts;
    size_t most = 0;
    for (const Unproven* connection : from)
        most = std::max(most, ++counts[connection->source]);
    const auto found =
        std::ranges::find_if(from, [&](const Unproven* connection) { return counts[connection->source] == most; });
    return found == from.end() ? nullptr : *found;
}

} // namespace

Room make_room(std::span<const Unproven> unproven, size_t sessions, const std::string& newcomer,
               const PlaceLimits& limits, std::chrono::steady_clock::time_point now) {
    std::vector<const Unproven*> staying;
    std::vector<const Unproven*> of_source;
    for (const Unproven& connection : unproven) {
        if (connection.leaving)
            continue;
        staying.push_back(&connection);
        if (connection.source == newcomer)
            of_source.push_back(&connection);
    }

    Room room;
    const Unproven* leaves = nullptr;
    if (of_source.size() >= limits.per_source)
        leaves = of_source.empty() ? nullptr : of_source.front();
    else if (staying.size() + sessions >= limits.connections)
        leaves = oldest_of_most(staying);
    else
        return room;
    if (leaves == nullptr) // sessions take all places
        return {.admitted = false, .leaves = {}};
    room.leaves.push_back({leaves->id, std::max(now, leaves->began + limits.lifetime)});

    if (unproven.size() - staying.size() >= limits.leaving) {
        const auto at_once = oldest_of_the_greediest(unproven, newcomer);
        if (!at_once)
            return {.admitted = false, .leaves = {}};
        if (*at_once == leaves->id)
            room.leaves.clear();
        room.leaves.push_back({*at_once, now});
    }
    return room;
}

std::optional<ConnectionId> oldest_of_the_greediest(std::span<const Unproven> unproven, const std::string& source) {
    std::vector<const Unproven*> all;
    for (const Unproven& connection : unproven)
        all.push_back(&connection);
    const Unproven* oldest = oldest_of_most(all);
    const auto count = [&](const std::string& of) {
        return std::ranges::count_if(unproven, [&](const Unproven& connection) { return connection.source == of; });
    };
    if (oldest == nullptr || count(oldest->source) <= count(source))
        return std::nullopt;
    return oldest->id;
}

} // namespace waggle::net

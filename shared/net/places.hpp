#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace waggle::net {

using ConnectionId = std::uint64_t; // increasing: the greater, the younger

// A connection that has not proved its identity yet.
struct Unproven {
    ConnectionId id = 0;
    std::string source;
    std::chrono::steady_clock::time_point began;
    bool leaving = false; // makes room for another, and is closed when its time is over
};

struct PlaceLimits {
    size_t connections = 0;             // in total, including sessions
    size_t per_source = 0;              // unproven ones
    size_t leaving = 0;                 // unproven ones that wait for the end of their time, in addition
    std::chrono::milliseconds lifetime; // that each gets for its proof before it must make room
};

// Which connections make room for a new one, and when.
struct Room {
    struct Leave {
        ConnectionId id = 0;
        std::chrono::steady_clock::time_point at;
    };
    bool admitted = true;
    std::vector<Leave> leaves;
};

// The oldest unproven connection makes room: of the new connection's source if that source has reached its limit,
// otherwise of the source that has the most. So silent connections, from whatever source, keep no other connection out.
// Each has a time in which no other connection can displace it, as long as its source has no more connections than
// other sources. `unproven` is ordered by id.
Room make_room(std::span<const Unproven> unproven, size_t sessions, const std::string& newcomer,
               const PlaceLimits& limits, std::chrono::steady_clock::time_point now);

// Returns the oldest connection of the source that has the most, if that source has more than `source` has.
std::optional<ConnectionId> oldest_of_the_greediest(std::span<const Unproven> unproven, const std::string& source);

} // namespace waggle::net

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace waggle::net {

using ConnectionId = std::uint64_t; // grows: the greater, the younger

// A connection that has not proven whose it is yet.
struct Unproven {
    ConnectionId id = 0;
    std::string source;
    std::chrono::steady_clock::time_point began;
    bool leaving = false; // has made room for another, and its time runs out
};

struct PlaceLimits {
    size_t connections = 0;             // in all, sessions too
    size_t per_source = 0;              // unproven ones
    size_t leaving = 0;                 // unproven ones that wait for the end of their time, besides
    std::chrono::milliseconds lifetime; // each is given for its proof, before it makes room
};

// Which connections make room for a newcomer, and when.
struct Room {
    struct Leave {
        ConnectionId id = 0;
        std::chrono::steady_clock::time_point at;
    };
    bool admitted = true;
    std::vector<Leave> leaves;
};

// Whoever is there the longest without a proof makes room: of the newcomer's source where that has its share already,
// else of the source that has most. So silent connections keep nobody out, from whatever source, and each has a time in
// which nobody can push it out, as long as its source has no more than others. `unproven` is ordered by id.
Room make_room(std::span<const Unproven> unproven, size_t sessions, const std::string& newcomer,
               const PlaceLimits& limits, std::chrono::steady_clock::time_point now);

// The oldest connection of the source that has most of them, if that has more than `source` has.
std::optional<ConnectionId> oldest_of_the_greediest(std::span<const Unproven> unproven, const std::string& source);

} // namespace waggle::net

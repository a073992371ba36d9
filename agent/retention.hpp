#pragma once

#include "shared/base/time.hpp"
#include "shared/nix/store_path.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// What a node lets go of, so that its disk and its boot menu do not fill up. docs/life.md has the rules in words.

struct Generation {
    std::uint64_t number = 0; // of the system profile
    std::optional<nix::StorePath> system;
};

// All but the newest `keep` and those whose system is needed: booted, current, to be booted, the way back.
std::vector<std::uint64_t> generations_to_drop(std::span<const Generation> generations, size_t keep,
                                               const std::set<nix::StorePath>& needed);

// How long what was pushed and never activated, or was rolled back, stays in the store for the next try.
inline constexpr std::chrono::days unused_root_time{14};
// And what the node has built for an operator, until a deployment brings it.
inline constexpr std::chrono::days built_root_time{1};
inline constexpr std::string_view built_root = "build"; // the root's name

struct Root {
    std::string name; // "4f1…" of a toplevel, "4f1…-previous", "4f1…-agent"; built_root
    std::optional<nix::StorePath> path;
    Time since;
};

// Whether a root of another deployment than the newest is to go. `newest_committed`: nothing goes back beyond it any
// more.
bool is_root_due(const Root& root, bool newest_committed, const std::set<nix::StorePath>& needed, Time now);

} // namespace waggle::agent

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

// What a node deletes so that its disk and its boot menu do not fill up. docs/explanation/life.md explains the rules.

struct Generation {
    std::uint64_t number = 0; // of the system profile
    std::optional<nix::StorePath> system;
};

// All but the newest `keep` generations and those whose system is needed: booted, current, next to boot, or previous.
std::vector<std::uint64_t> generations_to_drop(std::span<const Generation> generations, size_t keep,
                                               const std::set<nix::StorePath>& needed);

// How long a system that was only pushed, or was rolled back, stays in the store for the next attempt.
inline constexpr std::chrono::days unused_root_time{14};
// How long a system that the node has built for an operator stays, unless a deployment refers to it.
inline constexpr std::chrono::days built_root_time{1};
inline constexpr std::string_view built_root = "build"; // the root's name

struct Root {
    std::string name; // "4f1…" of a toplevel, "4f1…-previous", "4f1…-agent"; built_root
    std::optional<nix::StorePath> path;
    Time since;
};

// Whether to delete a root of a deployment other than the newest. After the newest one is committed
// (`newest_committed`), no rollback needs older systems.
bool is_root_due(const Root& root, bool newest_committed, const std::set<nix::StorePath>& needed, Time now);

} // namespace waggle::agent

#pragma once

#include "agent/daemon/environment.hpp"
#include "agent/state/archive.hpp"
#include "shared/protocol/messages.hpp"

#include <cstdint>
#include <optional>
#include <variant>

namespace waggle::agent {

// The newest deployments of this node, newest first, including one that has only just ended.
protocol::History history_of(const Environment& environment, std::uint64_t limit);

// The deployment that made this generation of the system profile; nullopt: the newest one before the running system.
// Returns the reason if the node does not have it any more.
std::variant<protocol::Refused, Archive::Kept> recall(const Environment& environment,
                                                      std::optional<std::uint64_t> generation);

} // namespace waggle::agent

#pragma once

#include "shared/base/time.hpp"
#include "shared/protocol/deployment.hpp"
#include "shared/protocol/json.hpp"
#include "shared/protocol/outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace waggle::protocol {

// One deployment that has ended, as a node records it.
struct HistoryEntry {
    DeploymentId id;
    Goal goal = Goal::switch_;
    std::string toplevel;
    Time ended;
    std::string operator_key; // fingerprint
    std::optional<GitRevision> git;
    Outcome outcome = Outcome::ok;
    std::string code;
    std::string message;
    std::optional<std::uint64_t> generation; // of the system profile
    bool operator==(const HistoryEntry&) const = default;
};
inline constexpr size_t max_history_entries = 500; // in one message: all that a node keeps
inline constexpr size_t max_history_message_bytes = 500;

// Cuts longer messages.
Json to_json(const HistoryEntry& entry);
// Throws BadDocument.
HistoryEntry history_entry_from_json(const Json& json);

} // namespace waggle::protocol

#pragma once

#include "shared/base/hash.hpp"
#include "shared/protocol/json.hpp"

#include <cstdint>
#include <string_view>

namespace waggle::protocol {

inline constexpr std::uint64_t max_closure_paths = 1'000'000;
inline constexpr std::uint64_t max_closure_list_bytes = 256 << 20;

// Identifies a closure list without containing it.
struct ClosureSummary {
    Sha256Digest sha256{};   // of the list's text
    std::uint64_t bytes = 0; // of the list's text
    std::uint64_t paths = 0;
    bool operator==(const ClosureSummary&) const = default;
};

Json to_json(const ClosureSummary& closure);
// Throws BadDocument; `what` names the document.
ClosureSummary read_closure_summary(Fields& fields, std::string_view key, std::string_view what);

} // namespace waggle::protocol

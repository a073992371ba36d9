#pragma once

#include "shared/base/bytes.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::age {

// One recipient's part of an age header: "-> TYPE ARGUMENT…", then the body in base64.
struct Stanza {
    std::vector<std::string_view> words; // the type and its arguments; at least one
    Bytes body;
};

struct AgeHeader {
    std::vector<Stanza> stanzas; // words point into the file
    std::string_view authentic;  // what the MAC is of: up to and with "---"
    Bytes mac;                   // 32 bytes
    std::string_view payload;    // the rest of the file
};

inline constexpr size_t mac_bytes = 32;

// The text of one stanza.
std::string format_stanza(std::string_view words, std::span<const std::uint8_t> body);
// The header up to and with "---", which the MAC is of.
std::string format_unfinished_header(std::string_view stanzas);

// nullopt unless the file begins with a header in the only form that age allows, of at most `max_bytes`.
std::optional<AgeHeader> parse_age_header(std::string_view file, size_t max_bytes);

} // namespace waggle::age

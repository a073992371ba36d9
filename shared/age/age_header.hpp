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
    std::string_view authentic;  // the MAC's input: up to and including "---"
    Bytes mac;                   // 32 bytes
    std::string_view payload;    // the rest of the file
};

inline constexpr size_t mac_bytes = 32;

// Returns the text of one stanza.
std::string format_stanza(std::string_view words, std::span<const std::uint8_t> body);
// Returns the header up to and including "---", which is the MAC's input.
std::string format_unfinished_header(std::string_view stanzas);

// Returns nullopt unless the file begins with a header of at most `max_bytes`, in the only form that age allows.
std::optional<AgeHeader> parse_age_header(std::string_view file, size_t max_bytes);

} // namespace waggle::age

#pragma once

#include "shared/age/secret_bytes.hpp"
#include "shared/base/bytes.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace waggle::age {

// Base64 without padding, as age writes it. Reading accepts only the canonical form.
std::string to_raw_base64(std::span<const std::uint8_t> bytes);
std::optional<Bytes> from_raw_base64(std::string_view text);

// BIP 173, without its limit of 90 characters. The prefix is in lower case.
std::string to_bech32(std::string_view prefix, std::span<const std::uint8_t> bytes);
struct Bech32 {
    std::string prefix; // in lower case
    bool upper_case = false;
    SecretBytes bytes;
};
std::optional<Bech32> from_bech32(std::string_view text);

} // namespace waggle::age

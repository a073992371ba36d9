#pragma once

#include "shared/age/secret_bytes.hpp"
#include "shared/base/bytes.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

// The primitives of age, from OpenSSL.
namespace waggle::age {

using View = std::span<const std::uint8_t>;
using Array32 = std::array<std::uint8_t, 32>;

View as_view(std::string_view text);

// RFC 5869 with SHA-256, 32 bytes. Any of the inputs may be empty.
SecretBytes hkdf_sha256(View key, View salt, std::string_view info);
Array32 hmac_sha256(View key, std::string_view message);

// RFC 7748. Returns nullopt if the result is all zero, which only a malicious point gives.
std::optional<SecretBytes> x25519(View scalar, View point);
Array32 x25519_public(View scalar);

// RFC 8439. The tag is the last 16 bytes of the sealed data.
inline constexpr size_t x25519_key_bytes = 32;
inline constexpr size_t aead_tag_bytes = 16;
using AeadNonce = std::array<std::uint8_t, 12>;
// `out` must have the size of the plaintext and the tag together.
void aead_seal(View key, const AeadNonce& nonce, View plaintext, std::span<std::uint8_t> out);
// `out` must have the size of the plaintext. Returns false (and nothing of use in `out`) if the tag is wrong.
bool aead_open(View key, const AeadNonce& nonce, View sealed, std::span<std::uint8_t> out);

// Converts the key to the same public key for X25519. Returns nullopt for a point that has none.
std::optional<Array32> ed25519_to_x25519(const Array32& key);

} // namespace waggle::age

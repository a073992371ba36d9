#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle {

using Bytes = std::vector<std::uint8_t>;

std::span<const std::byte> as_bytes(std::string_view text);
std::string_view as_text(std::span<const std::uint8_t> bytes);
std::string_view as_text(std::span<const std::byte> bytes);

// In lower case.
std::string to_hex(std::span<const std::uint8_t> bytes);
// Returns nullopt unless `text` is an even number of lower-case hexadecimal digits.
std::optional<Bytes> from_hex(std::string_view text);

// RFC 4648 section 4, with padding, without line breaks.
std::string to_base64(std::span<const std::uint8_t> bytes);
std::string to_base64(std::string_view bytes);
// Returns nullopt unless `text` is canonical: correct padding, no other characters, unused bits zero.
std::optional<Bytes> from_base64(std::string_view text);

// Compares in a time that depends only on the lengths.
bool equal_secret(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b);

// Bytes from the operating system's random generator, through OpenSSL.
template <size_t N>
std::array<std::uint8_t, N> random_bytes();
void fill_random(std::span<std::uint8_t> bytes);

template <size_t N>
std::array<std::uint8_t, N> random_bytes() {
    std::array<std::uint8_t, N> bytes;
    fill_random(bytes);
    return bytes;
}

} // namespace waggle

#include "shared/age/text_codes.hpp"

#include <algorithm>
#include <array>

namespace waggle::age {

namespace {

constexpr std::string_view digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
constexpr size_t checksum_digits = 6;

std::uint32_t polymod(std::uint32_t checksum, std::uint8_t value) {
    constexpr std::array<std::uint32_t, 5> generator = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
    const auto top = checksum >> 25;
    checksum = (checksum & 0x1ffffff) << 5 ^ value;
    for (size_t i = 0; i < generator.size(); ++i)
        if (top >> i & 1)
            checksum ^= generator[i];
    return checksum;
}

std::uint32_t polymod_of_prefix(std::string_view prefix) {
    std::uint32_t checksum = 1;
    for (const char c : prefix)
        checksum = polymod(checksum, static_cast<std::uint8_t>(c) >> 5);
    checksum = polymod(checksum, 0);
    for (const char c : prefix)
        checksum = polymod(checksum, c & 31);
    return checksum;
}

// Regroups bits. Returns nullopt if the remaining bits are not zero padding.
std::optional<SecretBytes> regroup(std::span<const std::uint8_t> values, int from, int to, bool pad) {
    SecretBytes out;
    std::uint32_t bits = 0;
    int count = 0;
    for (const auto value : values) {
        bits = (bits << from | value) & 0xfff; // more than 12 are never waiting
        count += from;
        while (count >= to) {
            count -= to;
            out.push_back(static_cast<std::uint8_t>(bits >> count & ((1u << to) - 1)));
        }
    }
    const auto rest = bits & ((1u << count) - 1);
    if (pad && count > 0)
        out.push_back(static_cast<std::uint8_t>(rest << (to - count)));
    if (!pad && (count >= from || rest != 0))
        return std::nullopt;
    return out;
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

} // namespace

std::string to_raw_base64(std::span<const std::uint8_t> bytes) {
    auto text = to_base64(bytes);
    text.erase(text.find_last_not_of('=') + 1);
    return text;
}

std::optional<Bytes> from_raw_base64(std::string_view text) {
    if (text.find('=') != text.npos || text.size() % 4 == 1)
        return std::nullopt;
    std::string padded(text);
    padded.resize((text.size() + 3) / 4 * 4, '=');
    return from_base64(padded);
}

std::string to_bech32(std::string_view prefix, std::span<const std::uint8_t> bytes) {
    const auto values = *regroup(bytes, 8, 5, true);
    auto checksum = polymod_of_prefix(prefix);
    std::string text(prefix);
    text.push_back('1');
    for (const auto value : values) {
        checksum = polymod(checksum, value);
        text.push_back(digits[value]);
    }
    for (size_t i = 0; i < checksum_digits; ++i)
        checksum = polymod(checksum, 0);
    checksum ^= 1;
    for (size_t i = 0; i < checksum_digits; ++i)
        text.push_back(digits[checksum >> 5 * (checksum_digits - 1 - i) & 31]);
    return text;
}

std::optional<Bech32> from_bech32(std::string_view text) {
    const bool has_upper = std::ranges::any_of(text, [](char c) { return c >= 'A' && c <= 'Z'; });
    const bool has_lower = std::ranges::any_of(text, [](char c) { return c >= 'a' && c <= 'z'; });
    const auto one = text.rfind('1');
    if ((has_upper && has_lower) || one == text.npos || one == 0 || text.size() - one - 1 < checksum_digits)
        return std::nullopt;
    Bech32 result;
    result.upper_case = has_upper;
    for (const char c : text.substr(0, one)) {
        if (c < 33 || c > 126)
            return std::nullopt;
        result.prefix.push_back(lower(c));
    }
    auto checksum = polymod_of_prefix(result.prefix);
    SecretBytes values;
    for (const char c : text.substr(one + 1)) {
        const auto value = digits.find(lower(c));
        if (value == digits.npos)
            return std::nullopt;
        values.push_back(static_cast<std::uint8_t>(value));
        checksum = polymod(checksum, values.back());
    }
    if (checksum != 1)
        return std::nullopt;
    auto bytes = regroup(std::span(values).first(values.size() - checksum_digits), 5, 8, false);
    if (!bytes)
        return std::nullopt;
    result.bytes = std::move(*bytes);
    return result;
}

} // namespace waggle::age

#include "shared/nix/plain_text.hpp"

#include <cstdint>

namespace waggle::nix {

namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd"; // U+FFFD

std::uint8_t byte_at(std::string_view text, size_t at) {
    return at < text.size() ? static_cast<std::uint8_t>(text[at]) : 0;
}

// The end of the escape sequence that begins at `at` (ECMA-48 section 5): CSI ends with a byte of 0x40–0x7e; OSC, DCS,
// SOS, PM and APC end with BEL or ESC \; any other has one final byte after its intermediate ones.
size_t end_of_escape(std::string_view text, size_t at) {
    std::uint8_t kind = byte_at(text, at + 1);
    size_t end = at + 2;
    if (kind == '[') {
        while (end < text.size() && byte_at(text, end) >= 0x20 && byte_at(text, end) < 0x40)
            ++end;
        return end + 1;
    }
    if (kind == ']' || kind == 'P' || kind == 'X' || kind == '^' || kind == '_') {
        for (; end < text.size(); ++end) {
            if (text[end] == '\a')
                return end + 1;
            if (text[end] == '\x1b' && byte_at(text, end + 1) == '\\')
                return end + 2;
        }
        return end;
    }
    if (kind >= 0x20 && kind < 0x30)
        while (end < text.size() && byte_at(text, end) >= 0x20 && byte_at(text, end) < 0x30)
            ++end;
    return kind >= 0x20 && kind < 0x30 ? end + 1 : end;
}

// The length of the well-formed UTF-8 sequence at `at` (RFC 3629), 0 when there is none.
size_t utf8_length(std::string_view text, size_t at) {
    std::uint8_t first = byte_at(text, at), second = byte_at(text, at + 1);
    auto continues = [&](size_t from, size_t count) {
        for (size_t i = from; i < from + count; ++i)
            if ((byte_at(text, i) & 0xc0) != 0x80)
                return false;
        return true;
    };
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return continues(at + 1, 1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        bool overlong = first == 0xe0 && second < 0xa0, surrogate = first == 0xed && second > 0x9f;
        return continues(at + 1, 2) && !overlong && !surrogate ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        bool overlong = first == 0xf0 && second < 0x90, beyond = first == 0xf4 && second > 0x8f;
        return continues(at + 1, 3) && !overlong && !beyond ? 4 : 0;
    }
    return 0;
}

} // namespace

std::string plain_text(std::string_view text, size_t max_bytes) {
    std::string result;
    for (size_t at = 0; at < text.size();) {
        std::uint8_t first = byte_at(text, at);
        if (first == 0x1b) {
            at = end_of_escape(text, at);
            continue;
        }
        size_t length = utf8_length(text, at);
        bool c0_control = (first < 0x20 && first != '\n' && first != '\t') || first == 0x7f;
        bool c1_control = length == 2 && first == 0xc2 && byte_at(text, at + 1) < 0xa0;
        std::string_view piece = length == 0 ? replacement : text.substr(at, length);
        at += length == 0 ? 1 : length;
        if (c0_control || c1_control)
            continue;
        if (result.size() + piece.size() > max_bytes)
            return result + "…";
        result += piece;
    }
    return result;
}

} // namespace waggle::nix

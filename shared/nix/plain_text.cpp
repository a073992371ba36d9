#include "shared/nix/plain_text.hpp"

#include "shared/base/utf8.hpp"

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

} // namespace

std::string plain_text(std::string_view text, size_t max_bytes) {
    std::string result;
    for (size_t at = 0; at < text.size();) {
        std::uint8_t first = byte_at(text, at);
        if (first == 0x1b) {
            at = end_of_escape(text, at);
            continue;
        }
        const CodePoint c = decode_utf8(text.substr(at));
        const bool control =
            (c.value < 0x20 && c.value != '\n' && c.value != '\t') || (c.value >= 0x7f && c.value < 0xa0);
        std::string_view piece = c.bytes == 0 ? replacement : text.substr(at, c.bytes);
        at += c.bytes == 0 ? 1 : c.bytes;
        if (c.bytes != 0 && control)
            continue;
        if (result.size() + piece.size() > max_bytes)
            return result + "…";
        result += piece;
    }
    return result;
}

} // namespace waggle::nix

#include "trigger/report/escape.hpp"

#include "shared/base/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace waggle::trigger {

namespace {

// Characters that change how others are displayed, or that are invisible: Unicode's bidi controls (UAX #9), zero width
// characters, line and paragraph separators, tags, C1 controls.
bool is_treacherous(char32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

// Returns the length of the terminal escape sequence (ECMA-48) at the start of the text; 0: none.
size_t escape_sequence(std::string_view text) {
    if (text.size() < 2 || text[0] != '\x1b')
        return 0;
    if (text[1] == '[') {
        size_t end = 2;
        while (end < text.size() && text[end] >= 0x20 && text[end] < 0x40)
            ++end;
        return end < text.size() && text[end] >= 0x40 && text[end] < 0x7f ? end + 1 : 0;
    }
    if (text[1] == ']') { // a title or a link: up to BEL or ST
        const size_t bell = text.find('\a');
        const size_t st = text.find("\x1b\\", 2);
        if (bell == std::string_view::npos && st == std::string_view::npos)
            return 0;
        return bell < st ? bell + 1 : st + 2;
    }
    return 0;
}

size_t width(char32_t c) {
    if ((c >= 0x300 && c <= 0x36f) || (c >= 0x20d0 && c <= 0x20ff) || (c >= 0xfe00 && c <= 0xfe0f))
        return 0;
    // East Asian wide and emoji, in whole blocks (Unicode, EastAsianWidth.txt).
    constexpr std::array<std::pair<char32_t, char32_t>, 8> wide = {{{0x1100, 0x115f},
                                                                    {0x2e80, 0xa4cf},
                                                                    {0xac00, 0xd7a3},
                                                                    {0xf900, 0xfaff},
                                                                    {0xfe30, 0xfe6f},
                                                                    {0xff00, 0xff60},
                                                                    {0x1f300, 0x1faff},
                                                                    {0x20000, 0x3fffd}}};
    return std::any_of(wide.begin(), wide.end(), [&](auto range) { return c >= range.first && c <= range.second; }) ? 2
                                                                                                                    : 1;
}

} // namespace

std::string printable(std::string_view text, size_t max_bytes) {
    std::string line;
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
        text.remove_suffix(1);
    while (!text.empty()) {
        if (line.size() >= max_bytes)
            return line + "…";
        if (const size_t length = escape_sequence(text)) {
            text.remove_prefix(length);
            continue;
        }
        const CodePoint c = decode_utf8(text);
        if (c.bytes == 0) {
            line += fmt::format("<{:02x}>", static_cast<unsigned char>(text[0]));
            text.remove_prefix(1);
            continue;
        }
        if (c.value == '\t')
            line += "    ";
        else if (c.value < 0x20 || c.value == 0x7f)
            line += fmt::format("<{:02x}>", static_cast<std::uint32_t>(c.value));
        else if (is_treacherous(c.value))
            line += fmt::format("<u+{:04x}>", static_cast<std::uint32_t>(c.value));
        else
            line += text.substr(0, c.bytes);
        text.remove_prefix(c.bytes);
    }
    return line;
}

size_t columns(std::string_view text) {
    size_t count = 0;
    while (!text.empty()) {
        const CodePoint c = decode_utf8(text);
        count += width(c.value);
        text.remove_prefix(std::max<size_t>(1, c.bytes));
    }
    return count;
}

std::string cut_to_columns(std::string_view text, size_t max_columns) {
    if (columns(text) <= max_columns)
        return std::string(text);
    if (max_columns == 0)
        return {};
    std::string cut;
    size_t used = 0;
    while (!text.empty()) {
        const CodePoint c = decode_utf8(text);
        if (used + width(c.value) > max_columns - 1)
            break;
        used += width(c.value);
        const size_t bytes = std::max<size_t>(1, c.bytes);
        cut += text.substr(0, bytes);
        text.remove_prefix(bytes);
    }
    return cut + "…";
}

std::string padded(std::string_view text, size_t width_columns) {
    const size_t used = columns(text);
    return std::string(text) + std::string(used < width_columns ? width_columns - used : 0, ' ');
}

} // namespace waggle::trigger

#pragma once

#include <cstddef>
#include <string_view>

namespace waggle {

// One character and its length in bytes; 0 bytes: the text is not UTF-8 there.
struct CodePoint {
    char32_t value = 0;
    size_t bytes = 0;
};

// The first character of a text that is not empty. RFC 3629: shortest form, no surrogates, up to U+10FFFF.
CodePoint decode_utf8(std::string_view text);

} // namespace waggle

#pragma once

#include <string>
#include <string_view>

namespace waggle::nix {

// Returns the text without terminal escape sequences and control characters (line feeds and tabs stay), as valid UTF-8
// with U+FFFD in place of each invalid byte. The result has at most `max_bytes`, then "…".
std::string plain_text(std::string_view text, size_t max_bytes);

} // namespace waggle::nix

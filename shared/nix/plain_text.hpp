#pragma once

#include <string>
#include <string_view>

namespace waggle::nix {

// The text without terminal escape sequences and control characters (line feeds and tabs stay), as valid UTF-8:
// what was not is replaced by U+FFFD. At most `max_bytes`, then "…".
std::string plain_text(std::string_view text, size_t max_bytes);

} // namespace waggle::nix

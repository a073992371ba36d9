#pragma once

#include <string>
#include <string_view>

namespace waggle::trigger {

// Returns a Nix string literal, including its quotes, that evaluates to `text`.
std::string nix_string(std::string_view text);

} // namespace waggle::trigger

#pragma once

#include <span>
#include <string>
#include <string_view>

namespace waggle::trigger {

// Returns the candidate that `word` is probably a misspelling of; "" if none is similar.
std::string nearest_word(std::string_view word, std::span<const std::string> candidates);

// Returns "; did you mean “x”?" for the nearest candidate, or "".
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

} // namespace waggle::trigger

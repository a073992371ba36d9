#pragma once

#include <span>
#include <string>
#include <string_view>

namespace waggle::trigger {

// The candidate that `word` is probably a slip of the finger for; "" when none is near.
std::string nearest_word(std::string_view word, std::span<const std::string> candidates);

// ", did you mean “x”?" for the nearest candidate, or "".
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

} // namespace waggle::trigger

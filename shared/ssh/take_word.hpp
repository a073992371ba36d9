#pragma once

#include <algorithm>
#include <string_view>

namespace waggle::ssh {

// Removes the first word from a line of known_hosts or authorized_keys and returns it, or "" at the end of the line.
// Blanks separate words.
inline std::string_view take_word(std::string_view& rest) {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
    const std::string_view word = rest.substr(0, rest.find_first_of(" \t"));
    rest.remove_prefix(word.size());
    return word;
}

} // namespace waggle::ssh

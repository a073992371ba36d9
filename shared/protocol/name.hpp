#pragma once

#include <string_view>

namespace waggle::protocol {

// Whether `text` may name a hive or a node: [A-Za-z0-9][A-Za-z0-9._-]{0,63}, without "..".
bool is_name(std::string_view text);

// ASCII only.
bool is_letter_or_digit(char c);

} // namespace waggle::protocol

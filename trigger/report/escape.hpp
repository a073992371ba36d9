#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace waggle::trigger {

inline constexpr size_t max_line_bytes = 2000;

// Makes the output of a node or of Nix one line that is safe on any terminal. Removes terminal escape sequences. Shows
// other control characters, bidirectional controls and bytes that are not UTF-8 as <1b>, <u+202e>. Cuts at `max_bytes`.
std::string printable(std::string_view text, size_t max_bytes = max_line_bytes);

// The number of terminal columns of valid UTF-8 without control characters.
size_t columns(std::string_view text);

// Cuts the text to this many columns, with "…" in the last one if something is missing.
std::string cut_to_columns(std::string_view text, size_t max_columns);

// Appends blanks up to this many columns.
std::string padded(std::string_view text, size_t width);

} // namespace waggle::trigger

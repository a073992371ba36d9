#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace waggle::trigger {

inline constexpr size_t max_line_bytes = 2000;

// What a node or Nix said, as one line that is safe on any terminal: terminal escape sequences are left out, other
// control characters, bidirectional controls and bytes that are not UTF-8 become visible as <1b>, <u+202e>; cut at
// `max_bytes`.
std::string printable(std::string_view text, size_t max_bytes = max_line_bytes);

// Columns that valid UTF-8 without control characters takes on a terminal.
size_t columns(std::string_view text);

// Cut to so many columns, "…" in the last one where something is missing.
std::string cut_to_columns(std::string_view text, size_t max_columns);

// Filled up with blanks to so many columns.
std::string padded(std::string_view text, size_t width);

} // namespace waggle::trigger

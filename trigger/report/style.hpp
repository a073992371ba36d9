#pragma once

#include "shared/protocol/outcome.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::trigger {

enum class ColorChoice { auto_, always, never };
// The words of --color: "auto", "always", "never".
std::vector<std::string> color_words();
std::optional<ColorChoice> parse_color_choice(std::string_view word);

// Whether to color the output to a stream. The command line's choice comes first, then NO_COLOR, CLICOLOR_FORCE and
// CLICOLOR (bixense.com/clicolors), then whether the stream is a terminal.
bool use_color(ColorChoice choice, bool is_terminal);

enum class Style { plain, good, bad, warning, dim, strong };
Style style_of(protocol::Outcome outcome);

// Returns the text with the style's terminal codes, or unchanged without `color`.
std::string styled(std::string_view text, Style style, bool color);

} // namespace waggle::trigger

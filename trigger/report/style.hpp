#pragma once

#include "shared/protocol/outcome.hpp"

#include <string>
#include <string_view>

namespace waggle::trigger {

enum class ColorChoice { auto_, always, never };

// Whether to color what goes to a stream: the command line's choice, then NO_COLOR, CLICOLOR_FORCE and CLICOLOR
// (bixense.com/clicolors), then whether it is a terminal.
bool use_color(ColorChoice choice, bool is_terminal);

enum class Style { plain, good, bad, warning, dim, strong };
Style style_of(protocol::Outcome outcome);

// The text with the style's terminal codes, or as it is.
std::string styled(std::string_view text, Style style, bool color);

} // namespace waggle::trigger

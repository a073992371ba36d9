#pragma once

#include <memory>

namespace CLI {
class FormatterBase;
}

namespace waggle::trigger {

// Formats --help: a command's own options first, then those of every command; commands by group. Leaves out what only
// the parser needs, such as ranges and exclusions, and wraps at 100 columns.
std::shared_ptr<CLI::FormatterBase> help_formatter();

} // namespace waggle::trigger

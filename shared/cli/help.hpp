#pragma once

#include <memory>
#include <string>

namespace CLI {
class FormatterBase;
class Option;
} // namespace CLI

namespace waggle {

// Formats --help: a command's own options first, then those of every command; commands by group. Leaves out hidden
// ones and what only the parser needs, such as ranges and exclusions, and wraps at 100 columns.
std::shared_ptr<CLI::FormatterBase> help_formatter();

// Whether the option is shown to users: not positional, and not hidden.
bool is_listed(const CLI::Option& option);

// What the option takes, as its help names it: "HIVE"; "" for a flag.
std::string value_name(const CLI::Option& option);

} // namespace waggle

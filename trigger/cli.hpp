#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"
#include "trigger/complete.hpp"

#include <any>
#include <functional>
#include <span>
#include <string>
#include <variant>

namespace waggle::trigger {

// Parses the command line and runs the subcommand. Returns the exit code.
int run_command_line(int argc, char** argv);

// A parsed command line.
struct CommandLine {
    GlobalOptions global;
    std::any options; // a std::shared_ptr to the options of the subcommand
    std::function<int(const GlobalOptions&, const Interrupt&)> run;
};

// A command line that is not run. `exit_code` is 0 if it only requests help or the version.
struct Usage {
    int exit_code = 0;
    std::string text;
};

std::variant<CommandLine, Usage> parse_command_line(int argc, const char* const* argv);

// Completes the last of the words after "waggle".
Completions complete_command_line(std::span<const std::string> words, const ReadHiveNames& read_hive_names);

} // namespace waggle::trigger

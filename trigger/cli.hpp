#pragma once

#include "trigger/command/options.hpp"

#include <optional>
#include <string>
#include <variant>

namespace waggle::trigger {

// Parses the command line and runs the subcommand. Returns the exit code.
int run_command_line(int argc, char** argv);

// What a command line asks for.
struct CommandLine {
    GlobalOptions global;
    std::variant<ApplyOptions, BuildCommandOptions, StatusOptions, CheckHealthOptions, ConfirmOptions, HistoryOptions,
                 RebootOptions, RollbackOptions, WhoamiOptions, EvalOptions, ReplOptions, NodesOptions,
                 UploadKeysOptions, KeysOptions>
        command;
};

// A command line that cannot be run; `exit_code` is 0 where it only asks for help or the version.
struct Usage {
    int exit_code = 2;
    std::string text;
};

std::variant<CommandLine, Usage> parse_command_line(int argc, const char* const* argv);

} // namespace waggle::trigger

#include "trigger/command/repl.hpp"

#include "shared/base/process.hpp"
#include "trigger/command/prepare.hpp"
#include "trigger/hive/module_folder.hpp"
#include "trigger/report/terminal.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace waggle::trigger {

namespace {

// As in nixos-module/repl.nix.
constexpr std::string_view introspection = "{}.introspect (arguments: arguments)";

// `nix repl` takes only files until 2.9, expressions from then on.
bool takes_expressions(const Interrupt& interrupt) {
    const RunResult help =
        run({.argv = {"nix", "--version"}, .extra_environment = {}},
            {.deadline = deadline_in(std::chrono::seconds(30)), .on_stderr_line = {}, .interrupt = &interrupt});
    // "nix (Nix) 2.8.0"
    const size_t version = help.out.find_last_of(' ');
    int major = 0, minor = 0;
    if (version == std::string::npos || std::sscanf(help.out.c_str() + version, " %d.%d", &major, &minor) != 2)
        return true;
    return major > 2 || minor >= 10;
}

} // namespace

int repl(const GlobalOptions& global, const Interrupt& interrupt) {
    std::unique_ptr<Reporter> reporter = make_reporter(true, use_color(global.color, stderr_is_terminal()));
    const SelectOptions no_selection;
    Command command{.argv = {"nix", "--extra-experimental-features", "nix-command flakes", "repl"},
                    .extra_environment = {}};
    {
        // What is wrong with the hive is said here, not by a prompt without anything in it.
        Preparation preparation(global, no_selection, interrupt, *reporter);
        const HiveSource& source = preparation.source();
        // Newer Nix reads no file that lies outside the store when it evaluates purely.
        if (takes_expressions(interrupt))
            command.argv.insert(command.argv.end(), {"--expr", fmt::format(introspection, source.expression)});
        else
            command.argv.insert(command.argv.end(),
                                {nixos_module_folder() / "repl.nix", "--arg", "hive", source.expression});
        command.argv.insert(command.argv.end(), source.arguments.begin(), source.arguments.end());
        const std::vector<std::string> words = arguments(global.nix, preparation.info().machines_file);
        command.argv.insert(command.argv.end(), words.begin(), words.end());
        if (global.nix.show_trace)
            command.argv.emplace_back("--show-trace");
    }
    reporter.reset();
    std::vector<char*> argv;
    for (std::string& word : command.argv)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    throw SystemError("starting nix repl");
}

} // namespace waggle::trigger

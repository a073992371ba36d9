#include "trigger/command/repl.hpp"

#include "shared/base/process.hpp"
#include "trigger/command/opened_hive.hpp"
#include "trigger/hive/module_folder.hpp"
#include "trigger/report/terminal.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

namespace waggle::trigger {

namespace {

// The same as in nixos-module/repl.nix.
constexpr std::string_view introspection = "{}.introspect (arguments: arguments)";

// `nix repl` takes only files before Nix 2.10, and expressions since then.
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

int repl(const GlobalOptions& global, const ReplOptions& /*options*/, const Interrupt& interrupt) {
    if (global.json)
        throw Error("`waggle repl` is interactive and has no --json");
    std::unique_ptr<Reporter> reporter = make_reporter(true, use_color(global.color, stderr_is_terminal()));
    Command command{.argv = {"nix", "--extra-experimental-features", "nix-command flakes", "repl"},
                    .extra_environment = {}};
    {
        // Report errors of the hive here, instead of opening a prompt with nothing in scope.
        const OpenedHive hive(global, SelectOptions(), interrupt, *reporter);
        const HiveSource& source = hive.source();
        // When newer Nix evaluates purely, it reads no file outside the store.
        if (takes_expressions(interrupt))
            command.argv.insert(command.argv.end(), {"--expr", fmt::format(introspection, source.expression)});
        else
            command.argv.insert(command.argv.end(),
                                {nixos_module_folder() / "repl.nix", "--arg", "hive", source.expression});
        command.argv.insert(command.argv.end(), source.arguments.begin(), source.arguments.end());
        const std::vector<std::string> words = arguments(global.nix, hive.info().machines_file);
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

Subcommand repl_subcommand(CLI::App& waggle) {
    CLI::App& app = add_subcommand(waggle, "repl", group::hive, "Open `nix repl` with pkgs, lib and nodes in scope");
    return make_subcommand(app, std::make_shared<ReplOptions>(), repl);
}

} // namespace waggle::trigger

#include "trigger/cli.hpp"

#include "shared/cli/help.hpp"
#include "trigger/base/interrupt_on_signals.hpp"
#include "trigger/base/nearest_word.hpp"
#include "trigger/command/apply.hpp"
#include "trigger/command/build.hpp"
#include "trigger/command/check_health.hpp"
#include "trigger/command/confirm.hpp"
#include "trigger/command/eval.hpp"
#include "trigger/command/history.hpp"
#include "trigger/command/keys.hpp"
#include "trigger/command/nodes.hpp"
#include "trigger/command/reboot.hpp"
#include "trigger/command/repl.hpp"
#include "trigger/command/result.hpp"
#include "trigger/command/rollback.hpp"
#include "trigger/command/status.hpp"
#include "trigger/command/upload_keys.hpp"
#include "trigger/command/whoami.hpp"
#include "trigger/complete.hpp"
#include "trigger/report/escape.hpp"
#include "trigger/report/json_reporter.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <sstream>
#include <string_view>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace waggle::trigger {

namespace {

constexpr int usage_error = 2;

// In the order of `waggle --help`.
constexpr std::array makers = {
    apply_subcommand,       build_subcommand,  confirm_subcommand, rollback_subcommand,     reboot_subcommand,
    upload_keys_subcommand, status_subcommand, history_subcommand, check_health_subcommand, keys_subcommand,
    whoami_subcommand,      nodes_subcommand,  eval_subcommand,    repl_subcommand,
};

class Parser {
public:
    Parser() {
        app_.formatter(help_formatter()); // first: subcommands inherit it
        app_.require_subcommand(1);
        app_.set_version_flag("--version", "waggle " WAGGLE_VERSION);
        app_.fallthrough();
        add_global_options();
        for (const auto make : makers)
            subcommands_.push_back(make(app_));
        // Last: subcommands would inherit it.
        app_.footer("Example:\n"
                    "  waggle apply --on @web,db1    deploy the nodes with the tag web, and the node db1\n\n"
                    "`waggle COMMAND --help` lists a command's options. The manual begins with docs/README.md.");
    }

    std::variant<CommandLine, Usage> parse(int argc, const char* const* argv) {
        if (argc <= 1)
            return Usage{.exit_code = 0, .text = app_.help()};
        try {
            app_.parse(argc, argv);
            return finish();
        } catch (const CLI::Success& success) { // --help, --version
            std::ostringstream out;
            app_.exit(success, out, out);
            return Usage{.exit_code = 0, .text = out.str()};
        } catch (const CLI::ExtrasError&) {
            return Usage{.exit_code = usage_error, .text = unknown_word()};
        } catch (const CLI::RequiredError&) {
            return Usage{.exit_code = usage_error, .text = first_word_problem(argc, argv)};
        } catch (const CLI::ParseError& error) {
            return Usage{.exit_code = usage_error, .text = error.what()};
        } catch (const Error& error) {
            return Usage{.exit_code = usage_error, .text = error.what()};
        }
    }

    const CLI::App& app() const { return app_; }

private:
    void add_global_options() {
        app_.add_option(
                "-f,--config", line_.global.config,
                "The hive: a file, a directory with a flake.nix or hive.nix, or a flake reference; append #OUTPUT to "
                "select a flake output (default: search this directory and its parents)")
            ->type_name("HIVE");
        app_.add_flag("--json", line_.global.json, "Print JSON to standard output: an event per line, then the result");
        app_.add_flag("--show-trace", line_.global.nix.show_trace, "Show where evaluation errors come from");
        app_.add_flag("--impure", line_.global.nix.impure,
                      "Let a flake depend on this machine: paths, environment, time");
        app_.add_option("--option,--nix-option", line_.global.nix.options, "Pass a setting to Nix; may be repeated")
            ->type_name("NAME VALUE")
            ->allow_extra_args(false);
        app_.add_option("--builders", line_.global.nix.builders,
                        "Remote builders, in the format of Nix's option of the same name (default: meta.machinesFile)")
            ->type_name("SPEC");
        app_.add_option(
                "--build-store", line_.global.nix.build_store,
                "Build in another Nix store, such as ssh-ng://HOST; results stay there and are copied to the nodes "
                "from there")
            ->type_name("URL");
        app_.add_option("--color", color_, "auto, always or never (default: auto)")->type_name("WHEN");
        app_.add_flag("-v,--verbose", line_.global.verbose,
                      "Print every event on its own line instead of the live display");
    }

    CommandLine finish() {
        const std::optional<ColorChoice> color = parse_color_choice(color_);
        if (!color)
            throw Error(fmt::format("--color takes auto, always or never, not “{}”", color_));
        line_.global.color = *color;
        const auto subcommand =
            std::ranges::find_if(subcommands_, [](const Subcommand& entry) { return entry.app->parsed(); });
        subcommand->check(); // the parser requires one
        line_.options = subcommand->options;
        line_.run = subcommand->run;
        return std::move(line_);
    }

    const CLI::App& current_app() const {
        const std::vector<CLI::App*> subcommands = app_.get_subcommands();
        return subcommands.empty() ? app_ : *subcommands.front();
    }

    std::vector<std::string> known_options() const {
        std::vector<std::string> names;
        for (const CLI::App* app : {&app_, &current_app()}) {
            for (const CLI::Option* option : app->get_options()) {
                for (const std::string& name : option->get_lnames())
                    names.push_back("--" + name);
            }
        }
        return names;
    }

    std::string unknown_word() const {
        const std::vector<std::string> extras = app_.remaining(true);
        const std::string word = extras.empty() ? "" : extras.front();
        const std::string command = current_app().get_name();
        if (word.starts_with('-'))
            return fmt::format("there is no option {}{}\n`waggle {}--help` lists the options.", word,
                               did_you_mean(word.substr(0, word.find('=')), known_options()),
                               command.empty() ? "" : command + " ");
        return fmt::format("unexpected argument “{}” for `waggle {}`{}\n`waggle {} --help` lists what it takes.", word,
                           command, suggest_on(current_app(), word), command);
    }

    // The command line has no known subcommand: either none was given, or it is misspelt.
    std::string first_word_problem(int argc, const char* const* argv) const {
        std::vector<std::string> commands;
        for (const CLI::App* command : app_.get_subcommands({}))
            commands.push_back(command->get_name());
        for (int i = 1; i < argc; ++i) {
            const std::string word = argv[i];
            if (!word.starts_with('-'))
                return fmt::format("there is no command “{}”{}\nThe commands are {}; `waggle --help` explains them.",
                                   word, did_you_mean(word, commands), fmt::join(commands, ", "));
            if (const auto known = known_options();
                std::find(known.begin(), known.end(), word) == known.end() && word.starts_with("--"))
                return fmt::format("there is no option {}{}", word, did_you_mean(word, known));
        }
        return fmt::format("a command is missing: {}\n`waggle --help` explains them.", fmt::join(commands, ", "));
    }

    CLI::App app_{"Deploy NixOS: evaluate and build here, and send each node a signed deployment.", "waggle"};
    CommandLine line_;
    std::vector<Subcommand> subcommands_;
    std::string color_ = "auto";
};

void print_error(std::string_view text) {
    std::string safe;
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find('\n', begin), text.size());
        safe += printable(text.substr(begin, end - begin)) + "\n";
        begin = end + 1;
    }
    fmt::print(stderr, "waggle: {}", safe);
}

int end_with_error(const CommandLine& line, std::string_view text, int exit_code) {
    print_error(text);
    if (line.global.json)
        print_json_line(json_error(text, exit_code));
    return exit_code;
}

} // namespace

std::variant<CommandLine, Usage> parse_command_line(int argc, const char* const* argv) {
    return Parser().parse(argc, argv);
}

Completions complete_command_line(std::span<const std::string> words, const ReadHiveNames& read_hive_names) {
    return complete(Parser().app(), words, read_hive_names);
}

int run_command_line(int argc, char** argv) {
    if (argc > 1 && argv[1] == std::string_view("__complete")) {
        const std::vector<std::string> words(argv + 2, argv + argc);
        return print_completions(Parser().app(), words);
    }
    const std::variant<CommandLine, Usage> parsed = parse_command_line(argc, argv);
    if (const auto* usage = std::get_if<Usage>(&parsed)) {
        if (usage->exit_code == 0)
            fmt::print("{}", usage->text);
        else
            print_error(usage->text);
        return usage->exit_code;
    }
    std::signal(SIGPIPE, SIG_IGN); // writing to a broken pipe then returns an error
#ifdef __GLIBC__
    // Pieces of NARs get mappings of their own, and leave no holes in the heap: with ten nodes, that saves 20 MiB. By
    // default, glibc raises this limit to the largest block that was freed.
    ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
#endif
    Interrupt interrupt;
    const InterruptOnSignals signals(interrupt);
    const auto& line = std::get<CommandLine>(parsed);
    try {
        return line.run(line.global, interrupt);
    } catch (const Interrupted&) {
        return end_with_error(line, "stopped before anything was sent to a node",
                              protocol::exit_code(protocol::Outcome::interrupted));
    } catch (const std::exception& error) {
        return end_with_error(line, error.what(), usage_error);
    }
}

} // namespace waggle::trigger

#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/options.hpp"

#include <any>
#include <functional>
#include <memory>
#include <string>

namespace CLI {
class App;
}

namespace waggle::trigger {

// A subcommand in the parser, and the function that runs it. To add one, write a file that returns one, and add it to
// the list in cli.cpp.
struct Subcommand {
    CLI::App* app = nullptr;
    std::any options = {}; // a std::shared_ptr to the command's own options, which the parser fills in
    std::function<int(const GlobalOptions&, const Interrupt&)> run;
    std::function<void()> check = [] {}; // throws Error for options that contradict each other
};

// The groups of `waggle --help`.
namespace group {
inline constexpr const char* deploy = "Deploy";
inline constexpr const char* ask = "Ask the nodes";
inline constexpr const char* hive = "Inspect the hive";
} // namespace group

CLI::App& add_subcommand(CLI::App& waggle, const std::string& name, const char* group, const std::string& description);

// Returns the subcommand that runs `run` with the options, which the parser has filled in by then.
template <class Options>
Subcommand make_subcommand(CLI::App& app, std::shared_ptr<Options> options,
                           int (*run)(const GlobalOptions&, const Options&, const Interrupt&)) {
    return {.app = &app,
            .options = options,
            .run = [options, run](const GlobalOptions& global, const Interrupt& interrupt) {
                return run(global, *options, interrupt);
            }};
}

// "; nodes are named with --on: …" for a word that the subcommand does not know, if it selects nodes; otherwise "".
std::string suggest_on(const CLI::App& app, const std::string& word);

} // namespace waggle::trigger

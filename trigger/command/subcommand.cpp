#include "trigger/command/subcommand.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace waggle::trigger {

CLI::App& add_subcommand(CLI::App& waggle, const std::string& name, const char* group, const std::string& description) {
    CLI::App& app = *waggle.add_subcommand(name, description);
    app.group(group);
    return app;
}

std::string suggest_on(const CLI::App& app, const std::string& word) {
    if (!app.get_option_no_throw("--on"))
        return {};
    return fmt::format("; nodes are named with --on: `waggle {} --on {}`", app.get_name(), word);
}

} // namespace waggle::trigger

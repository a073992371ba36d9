#include "shared/cli/help.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

namespace waggle {

namespace {

constexpr size_t page_width = 100;
constexpr size_t name_width = 28;

// Formats two columns: names, and their meaning, wrapped.
std::string entry(const std::string& name, const std::string& meaning) {
    const std::string indentation(name_width, ' ');
    std::string text = fmt::format("  {:<{}}", name, name_width - 2);
    size_t column = text.size();
    if (column > name_width) {
        text += '\n' + indentation;
        column = name_width;
    }
    std::istringstream words(meaning);
    for (std::string word; words >> word;) {
        if (column > name_width && column + 1 + word.size() > page_width) {
            text += '\n' + indentation;
            column = name_width;
        }
        if (column > name_width) {
            text += ' ';
            ++column;
        }
        text += word;
        column += word.size();
    }
    return text + '\n';
}

// "-f, --config HIVE"
std::string names_of(const CLI::Option& option) {
    std::vector<std::string> names;
    for (const std::string& name : option.get_snames())
        names.push_back("-" + name);
    for (const std::string& name : option.get_lnames())
        names.push_back("--" + name);
    std::string text = fmt::format("{}", fmt::join(names, ", "));
    if (const std::string value = value_name(option); !value.empty())
        text += ' ' + value;
    return text;
}

bool is_help_or_version(const CLI::Option& option) {
    return option.check_lname("help") || option.check_lname("version");
}

std::string options_of(const CLI::App& app, const std::string& title, bool with_help = true) {
    std::string text;
    for (const CLI::Option* option : app.get_options()) {
        if (is_listed(*option) && (with_help || !is_help_or_version(*option)))
            text += entry(names_of(*option), option->get_description());
    }
    return text.empty() ? "" : fmt::format("\n{}:\n{}", title, text);
}

std::string positionals_of(const CLI::App& app) {
    std::string text;
    for (const CLI::Option* option : app.get_options()) {
        if (!option->nonpositional())
            text += fmt::format(" [{}]", option->get_type_name());
    }
    return text;
}

std::string commands_of(const CLI::App& app) {
    std::vector<std::string> groups;
    for (const CLI::App* command : app.get_subcommands({})) {
        const std::string& group = command->get_group(); // of a hidden command: ""
        if (!group.empty() && std::find(groups.begin(), groups.end(), group) == groups.end())
            groups.push_back(group);
    }
    std::string text;
    for (const std::string& group : groups) {
        text += fmt::format("\n{}:\n", group);
        for (const CLI::App* command : app.get_subcommands({})) {
            if (command->get_group() == group)
                text += entry(command->get_name(), command->get_description());
        }
    }
    return text;
}

class HelpFormatter : public CLI::FormatterBase {
public:
    std::string make_help(const CLI::App* app, std::string /*name*/, CLI::AppFormatMode /*mode*/) const override {
        const CLI::App* parent = app->get_parent();
        const std::string footer = app->get_footer().empty() ? "" : fmt::format("\n{}\n", app->get_footer());
        if (!parent)
            return fmt::format("{}\n\nUsage: {} [OPTION…] COMMAND [OPTION…]\n{}{}{}", app->get_description(),
                               app->get_name(), commands_of(*app), options_of(*app, "Global options"), footer);
        return fmt::format("{}\n\nUsage: {} {} [OPTION…]{}\n{}{}{}", app->get_description(), parent->get_name(),
                           app->get_name(), positionals_of(*app), footer, options_of(*app, "Options"),
                           options_of(*parent, "Global options", false));
    }
};

} // namespace

bool is_listed(const CLI::Option& option) {
    return option.nonpositional() && !option.get_group().empty();
}

std::string value_name(const CLI::Option& option) {
    if (option.get_type_size() == 0)
        return "";
    // The parser appends its checks to the type: "N:INT in [0 - 1024]".
    const std::string type = option.get_type_name();
    return type.substr(0, type.find(':'));
}

std::shared_ptr<CLI::FormatterBase> help_formatter() {
    return std::make_shared<HelpFormatter>();
}

} // namespace waggle

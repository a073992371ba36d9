#include "shared/base/file.hpp"
#include "trigger/cli.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace waggle::trigger {

namespace {

std::string help_of(std::vector<const char*> words) {
    words.insert(words.begin(), "waggle");
    words.push_back("--help");
    return std::get<Usage>(parse_command_line(static_cast<int>(words.size()), words.data())).text;
}

// The lines without those of the options --help and --version, whose texts are the parser's own.
std::vector<std::string> lines_of(const std::string& help) {
    std::vector<std::string> lines;
    std::istringstream text(help);
    for (std::string line; std::getline(text, line);) {
        if (line.find("--help ") == line.npos && line.find("--version ") == line.npos)
            lines.push_back(line);
    }
    return lines;
}

// The commands that the overview lists: the lines that begin with two blanks, before the global options.
std::vector<std::string> commands_in(const std::string& overview) {
    std::vector<std::string> commands;
    for (const std::string& line : lines_of(overview)) {
        if (line == "Global options:")
            break;
        if (line.starts_with("  ") && line.size() > 2 && line[2] != ' ')
            commands.push_back(line.substr(2, line.find(' ', 2) - 2));
    }
    return commands;
}

// The same without the global options, which the overview has.
std::vector<std::string> own_lines_of(const std::string& command) {
    std::vector<std::string> lines = lines_of(help_of({command.c_str()}));
    lines.erase(std::find(lines.begin(), lines.end(), "Global options:"), lines.end());
    return lines;
}

std::string section(const std::string& title, const std::vector<std::string>& lines) {
    std::string block;
    for (const std::string& line : lines)
        block += line + "\n";
    block.erase(block.find_last_not_of('\n') + 1);
    return fmt::format("\n## {}\n\n```text\n{}\n```\n", title, block);
}

std::string reference() {
    const std::string overview = help_of({});
    std::string page = "# Command line\n\n"
                       "What `waggle --help` and `waggle COMMAND --help` print. A test compares this page with the\n"
                       "parser; `WAGGLE_UPDATE_DOCS=1 ./dev test unit` writes it.\n";
    page += section("waggle", lines_of(overview));
    for (const std::string& command : commands_in(overview))
        page += section("waggle " + command, own_lines_of(command));
    return page;
}

// A line of text for man(7).
std::string roff(std::string_view text) {
    std::string line;
    for (const char character : text) {
        if (character == '\\')
            line += "\\e";
        else if (character == '-')
            line += "\\-";
        else
            line += character;
    }
    return line.starts_with('.') || line.starts_with('\'') ? "\\&" + line : line;
}

// Formats help for man(7). An entry, which begins with two blanks, becomes a tagged paragraph: its name ends at the
// next two blanks, and the lines below that begin with more blanks continue its meaning.
std::string man_text(const std::vector<std::string>& lines) {
    std::string page;
    for (const std::string& line : lines) {
        const size_t indentation = line.find_first_not_of(' ');
        if (indentation == line.npos)
            continue;
        const std::string text = line.substr(indentation);
        if (indentation == 2) {
            const size_t gap = text.find("  ");
            page += fmt::format(".TP\n.B {}\n", roff(text.substr(0, gap)));
            if (gap != text.npos)
                page += roff(text.substr(text.find_first_not_of(' ', gap))) + "\n";
        } else if (indentation > 2) {
            page += roff(text) + "\n";
        } else {
            page += fmt::format(".PP\n{}{}\n", text.ends_with(':') ? ".B " : "", roff(text));
        }
    }
    return page;
}

std::string man_page() {
    const std::string overview = help_of({});
    std::string page = ".TH WAGGLE 1 \"\" \"\" \"Waggle\"\n"
                       ".SH NAME\n"
                       "waggle \\- deploy NixOS to one machine or thousands\n"
                       ".SH DESCRIPTION\n" +
                       man_text(lines_of(overview)) + ".SH COMMANDS\n";
    for (const std::string& command : commands_in(overview))
        page += fmt::format(".SS waggle {}\n{}", roff(command), man_text(own_lines_of(command)));
    return page;
}

// Compares a file of docs/reference with what it must be, or writes it.
void expect_page(const std::string& name, const std::string& expected) {
    const std::filesystem::path file =
        (std::filesystem::path(WAGGLE_TEST_DATA_DIR) / "../../docs/reference" / name).lexically_normal();
    if (std::getenv("WAGGLE_UPDATE_DOCS"))
        write_file_atomically(file, expected, 0644);
    EXPECT_EQ(read_file(file, 1 << 20), expected) << "run WAGGLE_UPDATE_DOCS=1 ./dev test unit";
}

TEST(CliReference, MatchesTheParser) {
    expect_page("cli.md", reference());
}

TEST(CliReference, ManualPageMatchesTheParser) {
    expect_page("waggle.1", man_page());
}

} // namespace

} // namespace waggle::trigger

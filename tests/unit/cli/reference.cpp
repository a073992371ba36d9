#include "tests/unit/cli/reference.hpp"

#include "shared/base/file.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string_view>
#include <vector>

namespace waggle::test {

namespace {

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
std::vector<std::string> own_lines_of(const Program& program, const std::string& command) {
    std::vector<std::string> lines = lines_of(program.help_of(command));
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

// The help of the program and of its commands as a page in Markdown.
std::string markdown_page(const Program& program) {
    const std::string overview = program.help_of("");
    std::string page =
        fmt::format("# {0}\n\n"
                    "What `{1} --help` and `{1} COMMAND --help` print. A test compares this page with the\n"
                    "parser; `WAGGLE_UPDATE_DOCS=1 ./dev test unit` writes it.\n",
                    program.title, program.name);
    page += section(program.name, lines_of(overview));
    for (const std::string& command : commands_in(overview))
        page += section(program.name + " " + command, own_lines_of(program, command));
    return page;
}

// The same for man(1), in the format of man(7).
std::string manual_page(const Program& program) {
    const std::string overview = program.help_of("");
    std::string title = program.name;
    std::ranges::transform(title, title.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    std::string page =
        fmt::format(".TH {} {} \"\" \"\" \"Waggle\"\n"
                    ".SH NAME\n"
                    "{} \\- {}\n"
                    ".SH DESCRIPTION\n"
                    "{}.SH COMMANDS\n",
                    roff(title), program.section, roff(program.name), program.purpose, man_text(lines_of(overview)));
    for (const std::string& command : commands_in(overview))
        page +=
            fmt::format(".SS {} {}\n{}", roff(program.name), roff(command), man_text(own_lines_of(program, command)));
    return page;
}

void expect_page(const std::string& name, const std::string& expected) {
    const std::filesystem::path file =
        (std::filesystem::path(WAGGLE_TEST_DATA_DIR) / "../../docs/reference" / name).lexically_normal();
    if (std::getenv("WAGGLE_UPDATE_DOCS"))
        write_file_atomically(file, expected, 0644);
    EXPECT_EQ(read_file(file, 1 << 20), expected) << "run WAGGLE_UPDATE_DOCS=1 ./dev test unit";
}

} // namespace

void expect_pages(const Program& program) {
    expect_page(program.page, markdown_page(program));
    expect_page(fmt::format("{}.{}", program.name, program.section), manual_page(program));
}

} // namespace waggle::test

#include "shared/base/file.hpp"
#include "trigger/cli.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
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

std::string section(const std::string& title, const std::string& help) {
    std::string text = fmt::format("\n## {}\n\n```text\n", title);
    std::string block;
    for (const std::string& line : lines_of(help)) {
        if (line == "Global options:" && title != "waggle")
            break;
        block += line + "\n";
    }
    block.erase(block.find_last_not_of('\n') + 1);
    return text + block + "\n```\n";
}

std::string reference() {
    const std::string overview = help_of({});
    std::string page = "# Command line\n\n"
                       "What `waggle --help` and `waggle COMMAND --help` print. A test compares this page with the\n"
                       "parser; `WAGGLE_UPDATE_DOCS=1 ./dev test unit` writes it.\n";
    page += section("waggle", overview);
    for (const std::string& command : commands_in(overview))
        page += section("waggle " + command, help_of({command.c_str()}));
    return page;
}

TEST(CliReference, IsWhatTheParserKnows) {
    const std::filesystem::path file =
        (std::filesystem::path(WAGGLE_TEST_DATA_DIR) / "../../docs/reference/cli.md").lexically_normal();
    if (std::getenv("WAGGLE_UPDATE_DOCS"))
        write_file_atomically(file, reference(), 0644);
    EXPECT_EQ(read_file(file, 1 << 20), reference()) << "run WAGGLE_UPDATE_DOCS=1 ./dev test unit";
}

} // namespace

} // namespace waggle::trigger

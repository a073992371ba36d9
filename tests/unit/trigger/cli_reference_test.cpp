#include "tests/unit/cli/reference.hpp"
#include "trigger/cli.hpp"

#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

namespace waggle::trigger {

namespace {

std::string help_text(const std::string& command) {
    std::vector<const char*> words{"waggle"};
    if (!command.empty())
        words.push_back(command.c_str());
    words.push_back("--help");
    return std::get<Usage>(parse_command_line(static_cast<int>(words.size()), words.data())).text;
}

TEST(CliReference, MatchesTheParser) {
    test::expect_pages({.name = "waggle",
                        .title = "Command line",
                        .page = "cli.md",
                        .purpose = "deploy NixOS to one machine or thousands",
                        .section = 1,
                        .help_of = help_text});
}

} // namespace

} // namespace waggle::trigger

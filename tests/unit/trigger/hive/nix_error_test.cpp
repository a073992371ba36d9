#include "shared/base/file.hpp"
#include "trigger/hive/nix_error.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace waggle::trigger {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* old_nix = R"(warning: something old
error: undefined variable 'x'

       at /etc/hive.nix:5:3:

            4|
            5|   x
             |   ^
(use '--show-trace' to show detailed location information)
)";

constexpr const char* new_nix = R"(trace: hello
error:
       … while calling the 'derivationStrict' builtin
         at <nix/derivation-internal.nix>:37:12:
       (stack trace truncated; use '--show-trace' to show the full, detailed trace)

       error: undefined variable 'x'
       at /etc/hive.nix:5:3:
)";

TEST(NixError, OfOlderNixBeginsWithTheError) {
    const std::string text = nix_error(old_nix, false);
    EXPECT_THAT(text, StartsWith("undefined variable 'x'\n"));
    EXPECT_THAT(text,
                AllOf(HasSubstr("\nat /etc/hive.nix:5:3:"), Not(HasSubstr("warning")), Not(HasSubstr("--show-trace"))));
}

TEST(NixError, OfNewerNixLeavesTheTracesOut) {
    EXPECT_EQ(nix_error(new_nix, false), "undefined variable 'x'\nat /etc/hive.nix:5:3:");
}

TEST(NixError, KeepsTheTracesOnRequest) {
    EXPECT_THAT(nix_error(new_nix, true),
                AllOf(HasSubstr("derivationStrict"), HasSubstr("undefined variable"), Not(HasSubstr("hello"))));
}

TEST(NixError, SkipsAnEmptyFirstLine) {
    const std::string said = "Failed assertions:\n- no root file system";
    EXPECT_EQ(nix_error("error: \n       Failed assertions:\n       - no root file system\n", false), said);
    EXPECT_EQ(
        nix_error("error:\n       … while\n\n       error:\n       Failed assertions:\n       - no root file system\n",
                  false),
        said);
    EXPECT_EQ(nix_error("error:\n", false), "error:");
}

TEST(NixError, SuggestsGitAddForAnUntrackedFile) {
    const std::string missing = ": No such file or directory\n";
    EXPECT_THAT(nix_error("error: getting status of '/nix/store/abc-source/alpha.nix'" + missing, false),
                HasSubstr("git add"));
    EXPECT_THAT(nix_error("error: getting status of '/etc/alpha.nix'" + missing, false), Not(HasSubstr("git add")));
}

TEST(NixError, SuggestsGitAddForAnUntrackedFileWithNewerNix) {
    EXPECT_THAT(
        nix_error("error:\n       … while\n\n       error: path '/nix/store/abc-source/alpha.nix' does not exist\n",
                  false),
        HasSubstr("git add"));
    EXPECT_THAT(nix_error("error: path '/etc/alpha.nix' does not exist\n", false), Not(HasSubstr("git add")));
}

TEST(NixError, SuggestsSubmodulesForAFileInASubmodule) {
    const TemporaryFolder folder;
    const std::filesystem::path tree = folder.path() / "abc-source";
    std::filesystem::create_directory(tree);
    std::ofstream(tree / ".gitmodules") << "[submodule \"part\"]\n\tpath = nodes/part\n\turl = ../part\n";
    const auto missing = [&](const std::string& file) {
        return nix_error(fmt::format("error: path '{}/{}' does not exist\n", tree.string(), file), false);
    };
    EXPECT_THAT(missing("nodes/part/a.nix"),
                AllOf(HasSubstr("“nodes/part” is a git submodule"), HasSubstr("?submodules=1")));
    EXPECT_THAT(missing("nodes/part"), HasSubstr("?submodules=1"));
    EXPECT_THAT(missing("nodes/parts/a.nix"), Not(HasSubstr("submodule")));
}

TEST(NixError, IsNeitherEmptyNorEndless) {
    EXPECT_FALSE(nix_error("", false).empty());
    std::string text = "error: many\n";
    for (int i = 0; i < 1000; ++i)
        text += "  line\n";
    const std::string shown = nix_error(text, false);
    EXPECT_LT(std::count(shown.begin(), shown.end(), '\n'), 50);
}

} // namespace
} // namespace waggle::trigger

#include "trigger/hive/evaluate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(NixError, KeepsTheTracesThatWereAskedFor) {
    EXPECT_THAT(nix_error(new_nix, true),
                AllOf(HasSubstr("derivationStrict"), HasSubstr("undefined variable"), Not(HasSubstr("hello"))));
}

TEST(NixError, ThatBeginsBelowTheWordBeginsWithIt) {
    const std::string said = "Failed assertions:\n- no root file system";
    EXPECT_EQ(nix_error("error: \n       Failed assertions:\n       - no root file system\n", false), said);
    EXPECT_EQ(
        nix_error("error:\n       … while\n\n       error:\n       Failed assertions:\n       - no root file system\n",
                  false),
        said);
    EXPECT_EQ(nix_error("error:\n", false), "error:");
}

TEST(NixError, OfAFileThatGitDoesNotKnowSaysWhatToDo) {
    const std::string missing = ": No such file or directory\n";
    EXPECT_THAT(nix_error("error: getting status of '/nix/store/abc-source/alpha.nix'" + missing, false),
                HasSubstr("git add"));
    EXPECT_THAT(nix_error("error: getting status of '/etc/alpha.nix'" + missing, false), Not(HasSubstr("git add")));
}

TEST(NixError, IsNeverEmptyNorEndless) {
    EXPECT_FALSE(nix_error("", false).empty());
    std::string text = "error: many\n";
    for (int i = 0; i < 1000; ++i)
        text += "  line\n";
    const std::string shown = nix_error(text, false);
    EXPECT_LT(std::count(shown.begin(), shown.end(), '\n'), 50);
}

} // namespace
} // namespace waggle::trigger

#include "trigger/build/failure.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* old_nix = R"(building '/nix/store/aaa-web.drv'...
error: builder for '/nix/store/aaa-web.drv' failed with exit code 1;
       last 2 log lines:
       > compiling
       > error: see /nix/store/ccc-other.drv
       For full logs, run 'nix log /nix/store/aaa-web.drv'.
error: builder for '/nix/store/bbb-db.drv' failed with exit code 2
error: 1 dependencies of derivation '/nix/store/111-alpha.drv' failed to build
error: 1 dependencies of derivation '/nix/store/222-beta.drv' failed to build
error: build of '/nix/store/111-alpha.drv', '/nix/store/222-beta.drv' failed
)";

constexpr const char* new_nix = R"(error: Cannot build '/nix/store/aaa-web.drv'.
       Reason: builder failed with exit code 1.
       Output paths:
         /nix/store/ooo-web
error: Cannot build '/nix/store/111-alpha.drv'.
       Reason: 1 dependency failed.
)";

TEST(BuildFailure, IsAttributedToTheNodeThatNeedsTheDerivation) {
    const auto errors = build_errors(old_nix);
    EXPECT_THAT(explain_failure(errors, {"/nix/store/111-alpha.drv", "/nix/store/aaa-web.drv"}).text,
                AllOf(HasSubstr("aaa-web"), HasSubstr("> compiling"), Not(HasSubstr("bbb-db"))));
    EXPECT_THAT(explain_failure(errors, {"/nix/store/222-beta.drv", "/nix/store/bbb-db.drv"}).text,
                AllOf(HasSubstr("bbb-db"), Not(HasSubstr("aaa-web"))));
}

TEST(BuildFailure, IgnoresDerivationsNamedInABuildersOutput) {
    EXPECT_THAT(explain_failure(build_errors(old_nix), {"/nix/store/ccc-other.drv"}).text,
                HasSubstr("bbb-db")); // all of them
}

TEST(BuildFailure, ReadsTheFormatOfNewerNix) {
    EXPECT_THAT(explain_failure(build_errors(new_nix), {"/nix/store/111-alpha.drv", "/nix/store/aaa-web.drv"}).text,
                AllOf(HasSubstr("builder failed with exit code 1"), Not(HasSubstr("dependency failed"))));
}

TEST(BuildFailure, NamesTheFailedDerivations) {
    EXPECT_THAT(explain_failure(build_errors(old_nix), {"/nix/store/111-alpha.drv", "/nix/store/aaa-web.drv"}).failed,
                testing::ElementsAre("/nix/store/aaa-web.drv"));
}

TEST(BuildFailure, IsNeverEmpty) {
    EXPECT_FALSE(explain_failure(build_errors(""), {}).text.empty());
    EXPECT_FALSE(explain_failure(build_errors("no error here\n"), {"/nix/store/x.drv"}).text.empty());
}

TEST(ExplainFailure, SuggestsGarbageCollectionForAFullDisk) {
    for (const std::string said : {"error: writing to file: No space left on device\n",
                                   "error: executing SQLite query: database or disk is full (in '/nix/var/nix/db')\n"})
        EXPECT_THAT(explain_failure(build_errors(said), {"/nix/store/x.drv"}).text, HasSubstr("nix-collect-garbage"));
    EXPECT_THAT(explain_failure(build_errors(new_nix), {}).text, Not(HasSubstr("nix-collect-garbage")));
}

} // namespace
} // namespace waggle::trigger

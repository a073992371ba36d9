#include "agent/node/systemctl.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace waggle::agent {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

// Puts a fake systemctl first in PATH, which runs the given shell script and records its arguments.
class Systemctl : public testing::Test {
protected:
    Systemctl() : path_(std::getenv("PATH")) { ::setenv("PATH", (folder_.path().string() + ":" + path_).c_str(), 1); }
    void TearDown() override { ::setenv("PATH", path_.c_str(), 1); }

    void answers(const std::string& script) const {
        write_file_atomically(folder_.path() / "systemctl",
                              "#!/bin/sh\necho \"$*\" >>" + asked_.string() + "\n" + script + "\n", 0700);
    }
    std::string asked() const { return read_file(asked_, 1000); }

private:
    std::string path_;
    TemporaryFolder folder_;
    std::filesystem::path asked_ = folder_.path() / "asked";
};

TEST_F(Systemctl, StopsOneUnitPerCall) {
    answers("exit 0");
    EXPECT_TRUE(stop_unit("a.timer"));
    EXPECT_EQ(asked(), "stop -- a.timer\n");
}

TEST_F(Systemctl, AUnitThatIsNotLoadedNeedsNoStop) {
    answers("echo 'Failed to stop a.timer: Unit a.timer not loaded.' >&2; exit 5");
    EXPECT_FALSE(stop_unit("a.timer"));
}

TEST_F(Systemctl, ReportsOtherFailuresInItsWords) {
    answers("echo 'Failed to stop a.timer: Transport endpoint is not connected' >&2; exit 1");
    EXPECT_THAT([] { stop_unit("a.timer"); },
                ThrowsMessage<Error>("systemctl stop -- a.timer: Failed to stop a.timer: Transport endpoint is not "
                                     "connected"));
    EXPECT_THAT([] { queue_job("restart", "a.service"); }, ThrowsMessage<Error>(HasSubstr("--no-block restart")));
    EXPECT_THAT([] { unit_states({"a.service"}); }, ThrowsMessage<Error>(HasSubstr("show")));
    EXPECT_THROW(reset_failed("a.service"), Error);
    EXPECT_THROW(daemon_reload(), Error);
    answers("kill -9 $$");
    EXPECT_THAT([] { stop_unit("a.timer"); }, ThrowsMessage<Error>(HasSubstr("killed by signal 9")));
}

TEST_F(Systemctl, KillsALoadedUnit) {
    answers("exit 0");
    EXPECT_TRUE(kill_unit("a.service"));
    answers("case $1 in show) echo LoadState=not-found ;; *) exit 1 ;; esac");
    EXPECT_FALSE(kill_unit("a.service"));
    answers("case $1 in show) echo LoadState=loaded ;; *) echo 'not permitted' >&2; exit 1 ;; esac");
    EXPECT_THAT([] { kill_unit("a.service"); }, ThrowsMessage<Error>(HasSubstr("not permitted")));
}

TEST_F(Systemctl, QueriesSeveralStatesAtOnce) {
    answers("printf 'LoadState=loaded\\nActiveState=active\\n\\nLoadState=not-found\\nActiveState=inactive\\n'");
    const auto states = unit_states({"a.service", "b.service"});
    EXPECT_THAT(asked(), HasSubstr("-- a.service b.service\n"));
    ASSERT_EQ(states.size(), 2);
    EXPECT_TRUE(states[0].loaded);
    EXPECT_FALSE(states[1].loaded);
    EXPECT_TRUE(unit_states({}).empty());
    EXPECT_THAT([] { unit_states({"a.service"}); }, ThrowsMessage<Error>(HasSubstr("2 of 1 units")));
}

TEST(ParseUnitStates, ReadsABlockForEachUnit) {
    const auto states =
        parse_unit_states("Id=a.service\nLoadState=loaded\nActiveState=active\nInactiveExitTimestampMonotonic=10\n\n"
                          "InactiveExitTimestampMonotonic=0\nActiveState=inactive\nLoadState=not-found\n\n"
                          "LoadState=masked\nActiveState=failed\n");
    ASSERT_EQ(states.size(), 3);
    EXPECT_TRUE(states[0].loaded);
    EXPECT_EQ(states[0].active, "active");
    EXPECT_TRUE(states[0].is_running());
    EXPECT_EQ(states[0].started, std::chrono::microseconds(10));
    EXPECT_FALSE(states[1].loaded);
    EXPECT_EQ(states[1].started, std::chrono::microseconds(0));
    EXPECT_FALSE(states[2].loaded);
    EXPECT_EQ(states[2].active, "failed");
    EXPECT_FALSE(states[2].is_running());
    EXPECT_TRUE(parse_unit_states("").empty());
}

} // namespace
} // namespace waggle::agent

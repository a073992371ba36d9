#include "agent/units/transient_units.hpp"
#include "agent/units/unit_output.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

using protocol::DeploymentId;
using testing::Contains;
using testing::ElementsAre;
using testing::Not;
using testing::StartsWith;

const auto id = DeploymentId::parse(std::string(64, '7'));

DeploymentRecord record() {
    DeploymentRecord record;
    record.id = id;
    record.toplevel = test_path('a', "sys");
    record.agent = "/nix/store/old/bin/waggle-agent";
    record.rollback.confirm_timeout = std::chrono::seconds(7);
    record.rollback.activation_timeout = std::chrono::seconds(70);
    return record;
}

TEST(TransientUnits, AreNotStoppedByEmergencyMode) {
    for (const auto& words : {activation_spec(record(), "/s"), commit_spec(record(), "/s", "/new"),
                              recovery_spec(record(), "/s", RecoveryCause::agent),
                              recovery_spec(record(), "/s", RecoveryCause::confirm_timer)}) {
        const auto argv = systemd_run_command(words, "/bin");
        EXPECT_EQ(argv.front(), "systemd-run");
        EXPECT_THAT(argv, Contains("--property=DefaultDependencies=no"));
        EXPECT_THAT(argv, Contains("--property=IgnoreOnIsolate=yes"));
        EXPECT_THAT(argv, Contains("--property=CollectMode=inactive-or-failed"));
        EXPECT_THAT(argv, Contains("--unit=" + words.unit));
    }
}

TEST(TransientUnits, ASecretsOnlyActivationNeedsNoSystem) {
    auto secrets = record();
    secrets.toplevel.reset();
    secrets.secrets_only = true;
    EXPECT_THAT(activation_spec(secrets, "/s").description, testing::HasSubstr("secrets"));
    EXPECT_THAT(systemd_run_command(activation_spec(secrets, "/s"), "/bin"), Contains("--property=LimitCORE=0"));
}

TEST(TransientUnits, TheRollbackRunsTheAgentThatStartedTheDeployment) {
    for (const auto caller : {RecoveryCause::agent, RecoveryCause::activation_timer, RecoveryCause::confirm_timer}) {
        const auto words = recovery_spec(record(), "/s", caller);
        EXPECT_THAT(words.command, ElementsAre(record().agent, "rollback", "--state-dir", "/s", "--id", id.to_string(),
                                               "--automatic", std::string(to_string(caller))));
    }
}

TEST(TransientUnits, TheCommitRunsTheNewAgent) {
    EXPECT_EQ(commit_spec(record(), "/s", "/new").command.front(), "/new");
}

TEST(TransientUnits, TheTimersAreMonotonicAndExact) {
    const auto activation = recovery_spec(record(), "/s", RecoveryCause::activation_timer);
    EXPECT_EQ(activation.unit, "waggle-rollback");
    EXPECT_THAT(activation.options, Contains("--on-active=70s"));
    const auto confirmation = recovery_spec(record(), "/s", RecoveryCause::confirm_timer);
    EXPECT_EQ(confirmation.unit, "waggle-confirm");
    EXPECT_THAT(confirmation.options, Contains("--on-active=7s"));
    for (const auto& words : {activation, confirmation}) {
        EXPECT_THAT(words.options, Contains("--timer-property=AccuracySec=1s"));
        EXPECT_THAT(words.options, Contains("--timer-property=DefaultDependencies=no"));
    }
    EXPECT_THAT(recovery_spec(record(), "/s", RecoveryCause::agent).options, Not(Contains(StartsWith("--on-active"))));
}

TEST(TransientUnits, AFailedUnitIsFollowedByRecovery) {
    EXPECT_THAT(activation_spec(record(), "/s").options,
                Contains("--property=ExecStopPost=/nix/store/old/bin/waggle-agent take-up --state-dir /s --id " +
                         id.to_string()));
    EXPECT_THAT(recovery_spec(record(), "/s", RecoveryCause::agent).options, Contains("--property=Restart=on-failure"));
}

TEST(OutputFilter, PassesOnlyThisActivationsLines) {
    std::vector<std::string> lines;
    OutputFilter filter(id, [&](std::string_view line) { lines.emplace_back(line); });
    for (const auto& line : {begin_mark({}), std::string("of an earlier one"), end_mark({}), begin_mark(id),
                             std::string("one"), std::string("two"), end_mark(id), std::string("after")})
        filter.line(line);
    EXPECT_THAT(lines, ElementsAre("one", "two"));
    EXPECT_TRUE(filter.seen_end());
}

// Any local user can write lines with `logger -t waggle-activation`, including the marks.
TEST(ReadOutput, AcceptsOnlyLinesOfTheUnits) {
    for (const bool follow : {false, true}) {
        const auto argv = read_output(Time(std::chrono::seconds(5)), follow);
        EXPECT_THAT(argv, Contains("_UID=0"));
        for (const char* unit : {"waggle-activation", "waggle-commit", "waggle-recovery", "waggle-rollback",
                                 "waggle-confirm", "waggle-watch"})
            EXPECT_THAT(argv, Contains(fmt::format("_SYSTEMD_UNIT={}.service", unit)));
        EXPECT_THAT(argv, Contains("--since=@5"));
    }
}

TEST(OutputFilter, DoesNotRepeatLinesWhenTheJournalIsReadAgain) {
    std::vector<std::string> lines;
    OutputFilter filter(id, [&](std::string_view line) { lines.emplace_back(line); });
    filter.line(begin_mark(id));
    filter.line("one");
    filter.restart();
    for (const auto& line : {begin_mark(id), std::string("one"), std::string("two"), end_mark(id)})
        filter.line(line);
    EXPECT_THAT(lines, ElementsAre("one", "two"));
}

} // namespace
} // namespace waggle::agent

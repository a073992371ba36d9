#include "agent/life_units.hpp"
#include "agent/unit_output.hpp"
#include "tests/unit/agent/fakes.hpp"

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

TEST(LifeUnits, NoneOfThemIsStoppedByEmergencyMode) {
    for (const auto& words :
         {activation_words(record(), "/s"), commit_words(record(), "/s", "/new"),
          recovery_words(record(), "/s", Caller::agent), recovery_words(record(), "/s", Caller::confirm_timer)}) {
        const auto argv = systemd_run_command(words, "/bin");
        EXPECT_EQ(argv.front(), "systemd-run");
        EXPECT_THAT(argv, Contains("--property=DefaultDependencies=no"));
        EXPECT_THAT(argv, Contains("--property=IgnoreOnIsolate=yes"));
        EXPECT_THAT(argv, Contains("--property=CollectMode=inactive-or-failed"));
        EXPECT_THAT(argv, Contains("--unit=" + words.unit));
    }
}

TEST(LifeUnits, OfSecretsAloneThereIsNoSystem) {
    auto secrets = record();
    secrets.toplevel.reset();
    secrets.secrets_only = true;
    EXPECT_THAT(activation_words(secrets, "/s").description, testing::HasSubstr("secrets"));
    EXPECT_THAT(systemd_run_command(activation_words(secrets, "/s"), "/bin"), Contains("--property=LimitCORE=0"));
}

TEST(LifeUnits, TheWayBackRunsTheAgentThatBegan) {
    for (const auto caller : {Caller::agent, Caller::activation_timer, Caller::confirm_timer}) {
        const auto words = recovery_words(record(), "/s", caller);
        EXPECT_THAT(words.command, ElementsAre(record().agent, "rollback", "--state-dir", "/s", "--id", id.to_string(),
                                               "--automatic", std::string(to_string(caller))));
    }
}

TEST(LifeUnits, TheCommitRunsTheNewAgent) {
    EXPECT_EQ(commit_words(record(), "/s", "/new").command.front(), "/new");
}

TEST(LifeUnits, TheTimersAreMonotonicAndExact) {
    const auto activation = recovery_words(record(), "/s", Caller::activation_timer);
    EXPECT_EQ(activation.unit, "waggle-rollback");
    EXPECT_THAT(activation.options, Contains("--on-active=70s"));
    const auto confirmation = recovery_words(record(), "/s", Caller::confirm_timer);
    EXPECT_EQ(confirmation.unit, "waggle-confirm");
    EXPECT_THAT(confirmation.options, Contains("--on-active=7s"));
    for (const auto& words : {activation, confirmation}) {
        EXPECT_THAT(words.options, Contains("--timer-property=AccuracySec=1s"));
        EXPECT_THAT(words.options, Contains("--timer-property=DefaultDependencies=no"));
    }
    EXPECT_THAT(recovery_words(record(), "/s", Caller::agent).options, Not(Contains(StartsWith("--on-active"))));
}

TEST(LifeUnits, WhatAUnitLeavesBehindIsTakenUp) {
    EXPECT_THAT(activation_words(record(), "/s").options,
                Contains("--property=ExecStopPost=/nix/store/old/bin/waggle-agent take-up --state-dir /s --id " +
                         id.to_string()));
    EXPECT_THAT(recovery_words(record(), "/s", Caller::agent).options, Contains("--property=Restart=on-failure"));
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

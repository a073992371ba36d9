#include "agent/activation.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace waggle::agent {
namespace {

using protocol::DeploymentId;
using protocol::Outcome;
using testing::Contains;
using testing::ElementsAre;
using testing::Not;

const auto id = DeploymentId::parse(std::string(64, '7'));

TEST(ActivationReport, SurvivesItsFile) {
    ActivationReport report;
    report.id = id;
    report.step = "boot";
    report.outcome = Outcome::rolled_back;
    report.code = "boot-loader-failed";
    report.message = "it \"failed\"\n";
    report.generation = 12;
    const auto again = parse_report(to_text(report), "test");
    EXPECT_EQ(again.id, id);
    EXPECT_EQ(again.step, "boot");
    EXPECT_EQ(again.outcome, Outcome::rolled_back);
    EXPECT_EQ(again.code, report.code);
    EXPECT_EQ(again.message, report.message);
    EXPECT_EQ(again.generation, 12);
}

TEST(ActivationReport, IsTheActivationsOwnWhenItCameToItsEnd) {
    ActivationReport last;
    last.id = id;
    last.outcome = Outcome::ok;
    EXPECT_EQ(conclude(id, last, {"success", "exited", "0"}).outcome, Outcome::ok);
}

TEST(ActivationReport, NamesTheStepInWhichTheUnitWasKilled) {
    ActivationReport last;
    last.id = id;
    last.step = "test";
    const auto report = conclude(id, last, {"signal", "killed", "KILL"});
    EXPECT_EQ(report.outcome, Outcome::unknown);
    EXPECT_NE(report.message.find("\"test\": it was killed by signal KILL"), std::string::npos) << report.message;
    EXPECT_NE(conclude(id, last, {"timeout", "killed", "TERM"}).message.find("took too long"), std::string::npos);
}

TEST(ActivationReport, SaysThatNothingBeganWithoutAFirstStep) {
    EXPECT_EQ(conclude(id, std::nullopt, {"exit-code", "exited", "203"}).outcome, Outcome::failed_before_activation);
    ActivationReport of_another;
    of_another.step = "test";
    EXPECT_EQ(conclude(id, of_another, {"exit-code", "exited", "203"}).outcome, Outcome::failed_before_activation);
}

TEST(ActivationReport, IsWrittenFromTheStepsAndWhatSystemdSays) {
    const TemporaryFolder folder;
    std::filesystem::create_directories(folder.path() / "activation");
    ActivationReport last;
    last.id = id;
    last.step = "profile";
    write_file_atomically(steps_file(folder.path(), id), to_text(last), 0600);
    ::setenv("SERVICE_RESULT", "signal", 1);
    ::setenv("EXIT_CODE", "killed", 1);
    ::setenv("EXIT_STATUS", "9", 1);
    write_activation_result(folder.path(), id);
    const auto report = parse_report(read_file(result_file(folder.path(), id), 1 << 20), "test");
    EXPECT_EQ(report.outcome, Outcome::unknown);
    EXPECT_EQ(report.step, "profile");
}

TEST(ActivationCommand, RunsInAUnitThatEmergencyModeDoesNotStop) {
    ActivationRequest request{
        .id = id, .goal = protocol::Goal::switch_, .toplevel = test_path('a', "sys"), .rollback = {}};
    const auto argv = activation_command(request, "/nix/store/x/bin/waggle-agent", "/var/lib/waggle-agent", "/bin");
    EXPECT_EQ(argv.front(), "systemd-run");
    EXPECT_THAT(argv, Contains("--unit=waggle-activation"));
    EXPECT_THAT(argv, Contains("--property=DefaultDependencies=no"));
    EXPECT_THAT(argv, Contains("--property=CollectMode=inactive-or-failed"));
    EXPECT_THAT(argv, Contains("--property=ExecStopPost=/nix/store/x/bin/waggle-agent activation-result --state-dir "
                               "/var/lib/waggle-agent --id " +
                               id.to_string()));
    EXPECT_THAT(argv, Contains("switch"));
    EXPECT_THAT(argv, Not(Contains("--keep-failed-units")));
    request.rollback.keep_on_failed_units = true;
    request.rollback.enable = false;
    const auto kept = activation_command(request, "/a", "/s", "/bin");
    EXPECT_THAT(kept, Contains("--keep-failed-units"));
    EXPECT_THAT(kept, Contains("--no-rollback"));
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

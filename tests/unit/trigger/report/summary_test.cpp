#include "shared/base/file.hpp"
#include "trigger/report/summary.hpp"
#include "trigger/report/timings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace waggle::trigger {
namespace {

using namespace std::chrono_literals;
using protocol::Outcome;
using testing::HasSubstr;
using testing::Not;

NodeReport report(const std::string& node, Outcome outcome, const std::string& message = "") {
    NodeReport report;
    report.node = node;
    report.outcome = outcome;
    report.message = message;
    return report;
}

TEST(Summary, IsATableFollowedByTheReasonsForFailures) {
    std::vector<NodeReport> reports = {report("alpha", Outcome::ok),
                                       report("be", Outcome::rolled_back, "web.service failed")};
    reports[0].generation = 12;
    reports[0].elapsed = 4200ms;
    reports[0].bytes_sent = 13 << 20;
    reports[1].log.add("starting web.service");
    reports[1].log.add("\x1b[31mno web today\x1b[0m");
    EXPECT_EQ(format_summary(reports, false), "NODE   OUTCOME      GENERATION   TIME      SENT\n"
                                              "alpha  ok                   12  4.2 s  13.0 MiB\n"
                                              "be     rolled-back           -  0.0 s       0 B\n"
                                              "\n"
                                              "be: rolled-back\n"
                                              "    web.service failed\n"
                                              "    last lines of its log:\n"
                                              "      be | starting web.service\n"
                                              "      be | no web today\n");
}

TEST(Summary, ShowsWhatCompressionSaved) {
    std::vector<NodeReport> reports = {report("alpha", Outcome::ok), report("beta", Outcome::ok),
                                       report("old", Outcome::ok)};
    reports[0].bytes_sent = 5 << 20;
    reports[0].nar_bytes_sent = 15 << 20;
    reports[2].bytes_sent = reports[2].nar_bytes_sent = 15 << 20;
    EXPECT_EQ(format_summary(reports, false), "NODE   OUTCOME  GENERATION   TIME      SENT  SAVED\n"
                                              "alpha  ok                -  0.0 s   5.0 MiB    67%\n"
                                              "beta   ok                -  0.0 s       0 B      -\n"
                                              "old    ok                -  0.0 s  15.0 MiB     0%\n");
}

TEST(Summary, ASharedHiveErrorIsShownOnce) {
    std::vector<NodeReport> reports;
    for (int i = 10; i < 30; ++i)
        reports.push_back(report("n" + std::to_string(i), Outcome::hive_error, "common.nix is broken"));
    reports.push_back(report("own", Outcome::hive_error, "another"));
    EXPECT_EQ(format_failures(reports, false),
              "\nn10, n11, n12, n13, n14, n15, n16, n17 and 12 more nodes: hive-error\n    common.nix is broken\n"
              "\nown: hive-error\n    another\n");
}

TEST(Summary, MissingAgentsAreReportedOnce) {
    std::vector<NodeReport> reports = {report("a", Outcome::refused, "it has none"),
                                       report("b", Outcome::refused, "it has none"),
                                       report("c", Outcome::refused, "it has none")};
    reports[0].code = reports[1].code = "no-agent";
    EXPECT_EQ(format_failures(reports, false), "\na, b: refused\n    it has none\n\nc: refused\n    it has none\n");
}

TEST(Summary, TheSameAnswerOfSeveralNodesIsShownOnce) {
    std::vector<NodeReport> reports = {report("a", Outcome::ok), report("b", Outcome::ok), report("c", Outcome::ok),
                                       report("d", Outcome::ok)};
    reports[0].answer = reports[2].answer = {"would stop", "web.service"};
    reports[1].answer = {"would \x1b[31mreload"};
    EXPECT_EQ(format_answers(reports), "\na, c:\n    would stop\n    web.service\n\nb:\n    would reload\n");
    EXPECT_THAT(format_summary(reports, false), HasSubstr("\na, c:\n    would stop\n"));
}

TEST(Summary, ANodeCannotForgeLines) {
    const std::string text = format_summary(std::vector{report("a", Outcome::refused, "no\r\x1b[2Kgamma  ok")}, false);
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, Not(HasSubstr("\r")));
}

TEST(Summary, AMegabyteLineIsCut) {
    EXPECT_LT(format_summary(std::vector{report("a", Outcome::refused, std::string(1 << 20, 'x'))}, false).size(),
              10'000u);
}

TEST(Summary, AMessageOfManyEmptyLinesIsTruncated) {
    EXPECT_LT(
        format_summary(std::vector{report("a", Outcome::refused, std::string(1 << 16, '\n') + "x")}, false).size(),
        5'000u);
}

// The trace of a hive error (--show-trace) comes from this machine, so it can be trusted.
TEST(Summary, AHiveErrorIsShownInFull) {
    std::string trace;
    for (int i = 0; i < 3000; ++i)
        trace += "at a line\n";
    const std::vector<NodeReport> reports = {report("alpha", Outcome::hive_error, trace + "the last")};
    EXPECT_THAT(format_summary(reports, false), HasSubstr("the last"));
}

TEST(Summary, TheLogKeepsNoMoreOfALineThanIsShown) {
    LogTail log;
    log.add(std::string(1 << 20, 'x'));
    EXPECT_LT(log.lines().back().size(), 5'000u);
}

TEST(Summary, TheLogKeepsTheLastLinesOnly) {
    NodeReport failed = report("a", Outcome::rolled_back, "why");
    for (int i = 0; i < 100; ++i)
        failed.log.add("line " + std::to_string(i));
    const std::string text = format_summary(std::vector{failed}, false);
    EXPECT_THAT(text, HasSubstr("line 99\n"));
    EXPECT_THAT(text, Not(HasSubstr("line 79\n")));
}

TEST(Summary, LinesOfTheRollbackDoNotDisplaceTheReason) {
    NodeReport failed = report("a", Outcome::rolled_back, "why");
    failed.log.add("the certificate has expired");
    failed.log.begin_rollback();
    for (int i = 0; i < 100; ++i)
        failed.log.add("line " + std::to_string(i));
    failed.log.begin_rollback(); // tried again
    const std::string text = format_summary(std::vector{failed}, false);
    EXPECT_THAT(text,
                HasSubstr("last lines of its log:\n      a | the certificate has expired\n    and of the rollback:"));
    EXPECT_THAT(text, HasSubstr("line 99\n"));
}

TEST(Summary, TheWorstOutcomeDecides) {
    EXPECT_EQ(worst_outcome({}), Outcome::unchanged);
    EXPECT_EQ(worst_outcome(std::vector{report("a", Outcome::ok), report("b", Outcome::unreachable),
                                        report("c", Outcome::unchanged)}),
              Outcome::unreachable);
}

TEST(Timings, AreTheSlowestNodesPhases) {
    const TemporaryFolder folder;
    std::vector<NodeReport> reports = {report("a", Outcome::ok), report("b", Outcome::ok)};
    reports[0].connect_time = 2s;
    reports[1].connect_time = 1s;
    reports[1].activate_time = 500ms;
    write_timings(folder.path() / "t", {.evaluate = 3s, .build = 250ms}, reports);
    EXPECT_EQ(nlohmann::json::parse(read_file(folder.path() / "t", 1000)),
              (nlohmann::json{
                  {"evaluate_s", 3.0}, {"build_s", 0.25}, {"connect_s", 2.0}, {"fetch_s", 0.0}, {"activate_s", 0.5}}));
}

TEST(Summary, AQueriedNodeHasItsOwnHeadline) {
    NodeReport report;
    report.node = "alpha";
    report.outcome = protocol::Outcome::ok_units_failed;
    report.message = "its health checks fail";
    const std::vector<NodeReport> reports{report};
    EXPECT_EQ(format_failures(reports, false), "\nalpha: ok-units-failed\n    its health checks fail\n");
    report.headline = "unhealthy";
    const std::vector<NodeReport> asked{report};
    EXPECT_EQ(format_failures(asked, false), "\nalpha: unhealthy\n    its health checks fail\n");
}

} // namespace
} // namespace waggle::trigger

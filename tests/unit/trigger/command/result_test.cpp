#include "shared/base/file.hpp"
#include "trigger/command/result.hpp"
#include "trigger/report/json_reporter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace waggle::trigger {

namespace {

using protocol::Json;
using protocol::Outcome;
using testing::HasSubstr;

NodeReport rolled_back() {
    NodeReport report;
    report.node = "beta";
    report.outcome = Outcome::rolled_back;
    report.code = "units-failed";
    report.message = "web.service failed";
    report.log.add("why");
    report.log.begin_rollback();
    report.log.add("back");
    report.generation = 7;
    report.bytes_sent = 12;
    report.nar_bytes_sent = 30;
    return report;
}

NodeReport reached(const std::string& name) {
    NodeReport report;
    report.node = name;
    return report;
}

std::string documentation() {
    return read_file((std::filesystem::path(WAGGLE_TEST_DATA_DIR) / "../../docs/reference/json.md").lexically_normal(),
                     1 << 20);
}

// Expects that the page names each member, including those of objects inside.
void expect_documented(const Json& object, const std::string& page) {
    for (const auto& [key, value] : object.items()) {
        EXPECT_THAT(page, HasSubstr("`" + key + "`"));
        if (value.is_object())
            expect_documented(value, page);
        if (value.is_array()) {
            for (const Json& item : value)
                if (item.is_object())
                    expect_documented(item, page);
        }
    }
}

TEST(JsonResult, HasAnObjectForEachNodeInTheOrderOfTheirNames) {
    const std::vector reports = {rolled_back(), reached("alpha")};
    const Json result = json_result("apply", reports, {{"gamma", {{"drv", "/nix/store/x.drv"}}}}, {{"goal", "switch"}});
    EXPECT_EQ(result["type"], "result");
    EXPECT_EQ(result["command"], "apply");
    EXPECT_EQ(result["goal"], "switch");
    EXPECT_EQ(result["outcome"], "rolled-back");
    EXPECT_EQ(result["exitCode"], protocol::exit_code(Outcome::rolled_back));
    ASSERT_EQ(result["nodes"].size(), 3);
    EXPECT_EQ(result["nodes"][0]["name"], "alpha");
    EXPECT_EQ(result["nodes"][1]["name"], "beta");
    EXPECT_EQ(result["nodes"][2], (Json{{"name", "gamma"}, {"outcome", "ok"}, {"drv", "/nix/store/x.drv"}}));
}

TEST(JsonResult, SeparatesTheLogOfTheRollback) {
    const std::vector reports = {rolled_back()};
    const Json node = json_result("apply", reports)["nodes"][0];
    EXPECT_EQ(node["log"], (Json{"why"}));
    EXPECT_EQ(node["rollbackLog"], (Json{"back"}));
    EXPECT_EQ(node["generation"], 7);
    EXPECT_EQ(node["bytesSent"], 12);
    EXPECT_EQ(node["narBytesSent"], 30);
    EXPECT_EQ(node["code"], "units-failed");
}

TEST(JsonResult, WithoutReportsIsOk) {
    const Json result = json_result("eval", {}, {}, {{"value", 3}});
    EXPECT_EQ(result["outcome"], "ok");
    EXPECT_EQ(result["exitCode"], 0);
    EXPECT_EQ(result["nodes"], Json::array());
    EXPECT_EQ(result["value"], 3);
}

TEST(JsonResult, OfAnErrorHasItsTextAndTheExitCode) {
    EXPECT_EQ(json_error("no hive", 1), (Json{{"type", "result"}, {"error", "no hive"}, {"exitCode", 1}}));
}

TEST(JsonResult, HasDocumentedMembersOnly) {
    const std::string page = documentation();
    const std::vector reports = {rolled_back(), reached("alpha")};
    expect_documented(json_result("apply", reports, {}, {{"goal", "switch"}}), page);
    expect_documented(json_error("no hive", 1), page);
}

TEST(JsonReporter, PrintsAnObjectPerEvent) {
    testing::internal::CaptureStdout();
    {
        const auto reporter = make_json_reporter();
        reporter->step("alpha", Step::rolling_back);
        reporter->step("alpha", Step::rolling_back); // the same step is not an event
        reporter->line("alpha", "a \x1b[31mred\xff line");
        reporter->transfer("alpha", 1, 10);
        reporter->transfer("alpha", 2, 10); // too soon
        reporter->transfer("alpha", 10, 10);
        reporter->activity("building");
        reporter->activity("");
        reporter->note("a warning");
        reporter->ended("alpha", Outcome::ok, "");
    }
    const std::string page = documentation();
    std::istringstream lines(testing::internal::GetCapturedStdout());
    std::vector<Json> events;
    for (std::string line; std::getline(lines, line);) {
        events.push_back(Json::parse(line));
        EXPECT_TRUE(events.back()["time"].is_string());
        EXPECT_THAT(page, HasSubstr("`" + events.back()["type"].get<std::string>() + "`"));
        expect_documented(events.back(), page);
        events.back().erase("time");
    }
    EXPECT_EQ(events, (std::vector<Json>{
                          {{"type", "step"}, {"node", "alpha"}, {"step", "rolling-back"}},
                          {{"type", "line"}, {"node", "alpha"}, {"text", "a \x1b[31mred\ufffd line"}},
                          {{"type", "transfer"}, {"node", "alpha"}, {"bytesDone", 1}, {"bytesTotal", 10}},
                          {{"type", "transfer"}, {"node", "alpha"}, {"bytesDone", 10}, {"bytesTotal", 10}},
                          {{"type", "activity"}, {"text", "building"}},
                          {{"type", "note"}, {"text", "a warning"}},
                          {{"type", "ended"}, {"node", "alpha"}, {"outcome", "ok"}, {"message", ""}},
                      }));
}

} // namespace

} // namespace waggle::trigger

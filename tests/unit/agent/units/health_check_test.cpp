#include "agent/units/health_check.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "shared/protocol/json.hpp"

#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

using namespace std::chrono_literals;

// The format of nixos-module/agent.nix; tests/integration/hive/agent_test.sh passes the module's real output to this
// parser.
constexpr auto text = R"({"v":1,
    "cmd":[{"description":"","period":2,"timeout":5,"deadline":60,"cmd":["systemctl","is-active","a b"]}],
    "http":[{"description":"web","period":1,"timeout":2,"deadline":3,"url":"https://[::1]:8443/x","insecureSSL":true,
             "headers":{"X-A":"b"},"status":[200,302]}]})";

TEST(HealthCheck, ReadsTheFormatThatTheModuleWrites) {
    const auto checks = parse_health_checks(text, "file");
    ASSERT_EQ(checks.commands.size(), 1u);
    EXPECT_EQ(checks.commands[0].command, (std::vector<std::string>{"systemctl", "is-active", "a b"}));
    EXPECT_EQ(checks.commands[0].deadline, 60s);
    ASSERT_EQ(checks.http.size(), 1u);
    EXPECT_EQ(checks.http[0].url, "https://[::1]:8443/x");
    EXPECT_TRUE(checks.http[0].insecure);
    EXPECT_EQ(checks.http[0].statuses, (std::vector{200, 302}));
    EXPECT_EQ(checks.http[0].headers[0].second, "b");
    EXPECT_TRUE(parse_health_checks(R"({"v":1,"cmd":[],"http":[]})", "file").empty());
}

TEST(HealthCheck, RefusesWhatItDoesNotUnderstand) {
    const auto with = [](std::string_view from, std::string_view to) {
        std::string changed = text;
        changed.replace(changed.find(from), from.size(), to);
        return changed;
    };
    for (const auto& wrong :
         {with("\"v\":1", "\"v\":2"), with("\"cmd\":[\"systemctl\",\"is-active\",\"a b\"]", "\"cmd\":[]"),
          with("https://", "ftp://"), with("\"period\":2,", ""), with("\"b\"", "\"b\\r\\nEvil: 1\""),
          with("200", "\"ok\""), with("\"timeout\":5", "\"timeout\":0"), with("\"url\"", "\"more\":1,\"url\"")})
        EXPECT_THROW(parse_health_checks(wrong, "file"), protocol::BadDocument) << wrong;
}

CommandCheck command(std::vector<std::string> words, std::chrono::seconds deadline) {
    CommandCheck check;
    check.command = std::move(words);
    check.period = 0s;
    check.deadline = deadline;
    return check;
}

class Checked {
public:
    HealthVerdict operator()(const HealthChecks& checks) {
        return run_health_checks(checks, [&](std::string_view line) { said.emplace_back(line); });
    }
    std::vector<std::string> said;
};

TEST(HealthCheck, ACommandIsRetriedUntilItSucceeds) {
    const TemporaryFolder folder;
    const auto file = (folder.path() / "there").string();
    // Fails the first time, and makes itself succeed the second.
    Checked checked;
    const auto verdict =
        checked({.commands = {command({"sh", "-c", "test -e \"$1\" || { touch \"$1\"; exit 3; }", "-", file}, 60s)},
                 .http = {}});
    EXPECT_TRUE(verdict.healthy) << verdict.problem;
    ASSERT_EQ(checked.said.size(), 2u);
    EXPECT_NE(checked.said[0].find("has not passed yet: exit code 3"), std::string::npos) << checked.said[0];
    EXPECT_NE(checked.said[1].find("holds"), std::string::npos);
}

TEST(HealthCheck, ReportsTheLastErrorOfAFailingCommand) {
    Checked checked;
    auto failing = command({"sh", "-c", "echo one >&2; echo 'no disk' >&2; exit 1"}, 1s);
    failing.description = "disk";
    failing.period = 5s;
    const auto verdict = checked({.commands = {failing, command({"true"}, 1s)}, .http = {}});
    EXPECT_FALSE(verdict.healthy);
    EXPECT_EQ(verdict.problem, "the check \"disk\" has failed for 1 s: exit code 1: no disk");
    EXPECT_EQ(checked.said.size(), 1u) << "the check after it is not run";
}

TEST(HealthCheck, RunsCommandsWithoutAShell) {
    Checked checked;
    EXPECT_FALSE(checked({.commands = {command({"true; true"}, 1s)}, .http = {}}).healthy);
}

TEST(HealthCheck, ACommandThatHangsIsKilledAfterItsTimeout) {
    Checked checked;
    auto hanging = command({"sleep", "1000"}, 1s);
    hanging.timeout = 1s;
    const auto verdict = checked({.commands = {hanging}, .http = {}});
    EXPECT_NE(verdict.problem.find("killed"), std::string::npos) << verdict.problem;
}

TEST(HealthCheck, ReportsAnUnreachableServer) {
    HttpCheck check;
    check.url = "http://127.0.0.1:1/";
    check.period = 5s;
    check.deadline = 1s;
    Checked checked;
    const auto verdict = checked({.commands = {}, .http = {check}});
    EXPECT_NE(verdict.problem.find("refused"), std::string::npos) << verdict.problem;
}

TEST(HealthCheck, StopsWhenAsked) {
    Interrupt interrupt;
    interrupt.request();
    auto check = command({"false"}, 60s);
    check.period = 30s;
    EXPECT_THROW(
        run_health_checks({.commands = {check}, .http = {}}, [](std::string_view) {}, &interrupt), Interrupted);
}

} // namespace
} // namespace waggle::agent

#include "agent/life.hpp"
#include "shared/base/file.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace waggle::agent {
namespace {

DeploymentRecord in(DeploymentState state) {
    DeploymentRecord record;
    record.state = state;
    record.trail = {{state, test_time}};
    return record;
}

TEST(Life, HasOneNextStateForAStateAndAnEvent) {
    std::set<std::pair<DeploymentState, LifeEvent>> seen;
    for (const auto& row : transitions)
        EXPECT_TRUE(seen.emplace(row.from, row.event).second) << to_string(row.from) << " " << to_string(row.event);
}

TEST(Life, EndsOnlyWhereItEnds) {
    for (const auto& row : transitions)
        EXPECT_FALSE(ends(row.from)) << to_string(row.from);
    for (const auto& row : restart_rules)
        EXPECT_EQ(ends(row.state), row.rule == RestartRule::none) << to_string(row.state);
}

TEST(Life, EveryStateHasARestartRule) {
    std::set<DeploymentState> states;
    for (const auto& row : transitions) {
        states.insert(row.from);
        states.insert(row.to);
    }
    for (const auto& row : restart_rules)
        EXPECT_EQ(states.erase(row.state), 1) << to_string(row.state);
    EXPECT_TRUE(states.empty());
}

TEST(Life, IsAsTheDocumentationSays) {
    const auto page =
        read_file((std::filesystem::path(WAGGLE_TEST_DATA_DIR) / "../../docs/life.md").lexically_normal(), 1 << 20);
    for (const auto& row : transitions) {
        auto event = std::string(to_string(row.event));
        const auto line = fmt::format("\n| {} | {} | {} |\n", to_string(row.from), event, to_string(row.to));
        EXPECT_NE(page.find(line), std::string::npos) << line;
    }
    const auto begin = page.find("| from | event | to |");
    const auto table = page.substr(begin, page.find("\n\n", begin) - begin);
    EXPECT_EQ(static_cast<size_t>(std::ranges::count(table, '\n')), transitions.size() + 1);
    for (const auto& row : restart_rules)
        EXPECT_NE(page.find(fmt::format("\n| {} | ", to_string(row.state)), page.find("| state | rule |")),
                  std::string::npos)
            << to_string(row.state);
}

TEST(Life, KeepsTheTrail) {
    auto record = in(DeploymentState::staged);
    advance(record, LifeEvent::activate, test_time + std::chrono::seconds(1));
    EXPECT_EQ(record.state, DeploymentState::activating);
    EXPECT_EQ(record.since, test_time + std::chrono::seconds(1));
    ASSERT_EQ(record.trail.size(), 2);
    EXPECT_EQ(record.trail[1].state, DeploymentState::activating);
}

TEST(Life, RefusesAStepThatIsNotInTheTable) {
    auto record = in(DeploymentState::committed);
    EXPECT_THROW(advance(record, LifeEvent::fail, test_time), Error);
    EXPECT_EQ(record.state, DeploymentState::committed);
    EXPECT_EQ(record.trail.size(), 1);
}

TEST(Life, EndsALoop) {
    auto record = in(DeploymentState::rolling_back);
    while (!record.outcome && record.trail.size() < 100)
        advance(record, LifeEvent::fail, test_time);
    EXPECT_EQ(record.trail.size(), max_trail);
    EXPECT_EQ(record.state, DeploymentState::failed);
    EXPECT_EQ(record.outcome, protocol::Outcome::unknown);
    EXPECT_EQ(record.code, "loop");
}

} // namespace
} // namespace waggle::agent

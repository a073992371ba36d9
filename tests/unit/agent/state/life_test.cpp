#include "agent/state/life.hpp"
#include "shared/base/file.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace waggle::agent {
namespace {

DeploymentRecord in(DeploymentState state) {
    DeploymentRecord record;
    record.state = state;
    record.state_log = {{state, test_time}};
    return record;
}

TEST(Life, HasOneNextStateForAStateAndAnEvent) {
    std::set<std::pair<DeploymentState, StateEvent>> seen;
    for (const auto& row : transitions)
        EXPECT_TRUE(seen.emplace(row.from, row.event).second) << to_string(row.from) << " " << to_string(row.event);
}

TEST(Life, EndStatesHaveNoTransitionsAndNoRestartRule) {
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

TEST(Life, MatchesTheDocumentation) {
    const auto page = read_file(
        (std::filesystem::path(WAGGLE_TEST_DATA_DIR) / "../../docs/explanation/life.md").lexically_normal(), 1 << 20);
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

bool leads_to(DeploymentState from, DeploymentState to) {
    return std::ranges::any_of(transitions, [&](const Transition& row) { return row.from == from && row.to == to; });
}

// tests/system/test_crash.py compares the rows with booted nodes; this test only checks that they are possible.
TEST(Life, TheCrashTableContainsOnlyPossibleTransitions) {
    const auto page = read_file(
        (std::filesystem::path(WAGGLE_TEST_DATA_DIR) / "../../docs/explanation/crash-table.md").lexically_normal(),
        1 << 20);
    std::istringstream lines(page.substr(page.find("| deployment | write |")));
    int rows = 0;
    for (std::string line; std::getline(lines, line) && line.starts_with('|');) {
        std::vector<std::string> cells;
        std::istringstream text(line.substr(1));
        for (std::string cell; std::getline(text, cell, '|');)
            cells.push_back(cell);
        ASSERT_EQ(cells.size(), 8) << line;
        std::istringstream words(cells[4]);
        std::optional<DeploymentState> before;
        for (std::string word; words >> word;) {
            const auto state = protocol::parse_state(word);
            if (!state)
                break;                               // the heading, or nothing was written
            if (*state == DeploymentState::received) // the previous one's end may not have been written
                EXPECT_TRUE(!before || ends(*before) || restart_rule(*before) == RestartRule::give_up) << line;
            else if (before == state) // its end, or its continuation without a transition
                EXPECT_TRUE(state == DeploymentState::activated || state == DeploymentState::awaiting_reboot ||
                            state == DeploymentState::rolling_back)
                    << line;
            else
                // If the first step of a rollback cannot be written, it is written with the second.
                EXPECT_TRUE(before && (leads_to(*before, *state) || (leads_to(*before, DeploymentState::rolling_back) &&
                                                                     leads_to(DeploymentState::rolling_back, *state))))
                    << line;
            before = state;
        }
        if (before)
            ++rows;
    }
    EXPECT_GT(rows, 100);
}

TEST(Life, KeepsTheStateLog) {
    auto record = in(DeploymentState::staged);
    advance(record, StateEvent::activate, test_time + std::chrono::seconds(1));
    EXPECT_EQ(record.state, DeploymentState::activating);
    EXPECT_EQ(record.since, test_time + std::chrono::seconds(1));
    ASSERT_EQ(record.state_log.size(), 2);
    EXPECT_EQ(record.state_log[1].state, DeploymentState::activating);
}

TEST(Life, RefusesATransitionThatIsNotInTheTable) {
    auto record = in(DeploymentState::committed);
    EXPECT_THROW(advance(record, StateEvent::fail, test_time), Error);
    EXPECT_EQ(record.state, DeploymentState::committed);
    EXPECT_EQ(record.state_log.size(), 1);
}

TEST(Life, EndsALoop) {
    auto record = in(DeploymentState::rolling_back);
    while (!record.outcome && record.state_log.size() < 100)
        advance(record, StateEvent::fail, test_time);
    EXPECT_EQ(record.state_log.size(), max_state_changes);
    EXPECT_EQ(record.state, DeploymentState::failed);
    EXPECT_EQ(record.outcome, protocol::Outcome::unknown);
    EXPECT_EQ(record.code, "loop");
}

} // namespace
} // namespace waggle::agent

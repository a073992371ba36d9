#include "tests/unit/trigger/samples.hpp"
#include "trigger/build/choose_builders.hpp"

#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

EvaluatedNode node_in_reach(bool build_on_target) {
    EvaluatedNode node = sample_node("attic");
    node.deployment.build_on_target = build_on_target;
    return node;
}

bool builds_itself(EvaluatedNode node, std::optional<bool> on_target) {
    choose_builders({&node, 1}, on_target);
    return node.deployment.build_on_target;
}

TEST(ChooseBuilders, FollowsTheHive) {
    EXPECT_TRUE(builds_itself(node_in_reach(true), std::nullopt));
    EXPECT_FALSE(builds_itself(node_in_reach(false), std::nullopt));
}

TEST(ChooseBuilders, LetsTheCommandLineOverrideTheHive) {
    EXPECT_FALSE(builds_itself(node_in_reach(true), false));
    EXPECT_TRUE(builds_itself(node_in_reach(false), true));
}

TEST(ChooseBuilders, LetsNoNodeBuildThatCannotBeReached) {
    EvaluatedNode without_host = node_in_reach(true);
    without_host.deployment.target_host.reset();
    EvaluatedNode without_agent = node_in_reach(true);
    without_agent.deployment.agent_enable = false;
    EXPECT_FALSE(builds_itself(without_host, true));
    EXPECT_FALSE(builds_itself(without_agent, true));
}

} // namespace
} // namespace waggle::trigger

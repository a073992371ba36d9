#include "tests/unit/agent/session_fixture.hpp"

#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

using protocol::DeploymentState;

TEST_F(Session, RemovesABootWatchThatNoDeploymentNeeds) {
    const auto end_as = [&](DeploymentState last) {
        leave(last);
        state->change([](State& all) { end(*all.deployment, {}); });
        start_agent();
        return units->started();
    };
    EXPECT_EQ(end_as(DeploymentState::failed), std::vector<std::string>{});
    host.watched = true;
    EXPECT_EQ(end_as(DeploymentState::awaiting_reboot), std::vector<std::string>{});
    EXPECT_EQ(end_as(DeploymentState::committed), std::vector<std::string>{"recover for boot-watch"});
}

} // namespace
} // namespace waggle::agent

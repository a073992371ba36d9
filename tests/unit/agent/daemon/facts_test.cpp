#include "tests/unit/agent/session_fixture.hpp"

#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

TEST_F(Session, BeginsWithFacts) {
    host.current = test_path('a', "old");
    const TestTrigger trigger(*environment, *deployments);
    EXPECT_EQ(trigger.facts.system, "x86_64-linux");
    EXPECT_EQ(trigger.facts.current_system, host.current->absolute());
    EXPECT_EQ(trigger.facts.nix_version, "2.8.0");
    EXPECT_FALSE(trigger.facts.last_admitted);
    EXPECT_EQ(trigger.facts.failed_units, std::vector<std::string>{"failed-before.service"});
    EXPECT_FALSE(trigger.facts.running);
}

TEST_F(Session, ReportsTheLastAdmittedDeploymentToTheNextSession) {
    units->succeed();
    protocol::DeploymentId id;
    {
        TestTrigger trigger(*environment, *deployments);
        id = deploy(trigger, document());
        trigger.next<protocol::Admitted>();
        trigger.next<protocol::Result>(&closure);
    }
    const TestTrigger next(*environment, *deployments);
    EXPECT_EQ(next.facts.last_admitted, id);
    EXPECT_EQ(next.facts.last_sequence, unix_ms(test_time) + 1);
    EXPECT_FALSE(next.facts.running);
}

} // namespace
} // namespace waggle::agent

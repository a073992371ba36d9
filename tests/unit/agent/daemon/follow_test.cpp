#include "tests/unit/agent/session_fixture.hpp"

#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

using protocol::DeploymentState;
using protocol::Outcome;

TEST_F(Session, ReportsARollback) {
    units->roll_back("units-failed", "a.service failed");
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    const auto result = trigger.next<protocol::Result>(&closure);
    EXPECT_EQ(result.outcome, Outcome::rolled_back);
    EXPECT_EQ(result.code, "units-failed");
    EXPECT_EQ(state->get().deployment->state, DeploymentState::rolled_back);
}

TEST_F(Session, AnActivationCompletesWithoutItsSession) {
    protocol::DeploymentId id;
    {
        TestTrigger trigger(*environment, *deployments);
        id = deploy_until_activation(trigger);
        trigger.lose();
    }
    units->succeed();
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Attach{id, 0});
    trigger.next<protocol::Admitted>();
    EXPECT_EQ(trigger.next<protocol::Result>().outcome, Outcome::ok);
}

TEST_F(Session, ARestartedAgentResumesTheActivation) {
    protocol::DeploymentId id;
    {
        TestTrigger trigger(*environment, *deployments);
        id = deploy_until_activation(trigger);
    }
    start_agent();
    EXPECT_EQ(state->get().deployment->state, DeploymentState::activating);
    EXPECT_EQ(refusal_of(document()).code, "busy");
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Attach{id, 0});
    trigger.next<protocol::Admitted>();
    units->succeed();
    EXPECT_EQ(trigger.next<protocol::Result>().outcome, Outcome::ok);
}

// A unit's last line can reach the journal shortly after the unit has ended.
TEST_F(Session, AnEndedDeploymentDoesNotBlockTheNode) {
    leave(DeploymentState::activating);
    units->output_delayed = true;
    start_agent();
    units->roll_back("units-failed", "units failed: a.service");
    const auto has_ended = [&] { return state->get().deployment->outcome.has_value(); };
    for (const auto deadline = deadline_in(patience); !has_ended();)
        ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    TestTrigger trigger(*environment, *deployments);
    EXPECT_FALSE(trigger.facts.running) << "it is told to be " << to_string(trigger.facts.running->state);
    const auto next = document();
    deploy(trigger, next); // waits for the remaining output
    units->output_delayed = false;
    EXPECT_EQ(trigger.next<protocol::Admitted>().id, next.id());
}

TEST_F(Session, ARemovedStateFileEndsTheDeployment) {
    leave(DeploymentState::activating);
    start_agent();
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Attach{{}, 0});
    trigger.next<protocol::Admitted>();
    std::filesystem::remove(StateKeeper::file_in(folder.path()));
    EXPECT_EQ(trigger.next<protocol::Result>().code, "forgotten");
    EXPECT_FALSE(deployments->busy());
}

TEST_F(Session, ARestartedAgentRecoversADeploymentWithoutAUnit) {
    leave(DeploymentState::activating);
    units->die();
    start_agent();
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Attach{{}, 0});
    trigger.next<protocol::Admitted>();
    units->roll_back("cut-off", "it was cut off while it was activating");
    const auto result = trigger.next<protocol::Result>();
    EXPECT_EQ(result.outcome, Outcome::rolled_back);
    EXPECT_EQ(result.code, "cut-off");
    EXPECT_EQ(units->started().at(0), "recover");
}

TEST_F(Session, AnAgentOfAnotherBootRollsBackInsteadOfAwaitingConfirmation) {
    host.current = test_path('a', "old");
    leave(DeploymentState::activated);
    host.boot = "boot-2";
    units->die();
    start_agent();
    TestTrigger trigger(*environment, *deployments);
    EXPECT_FALSE(trigger.facts.awaits_confirmation);
    trigger.send(protocol::Attach{{}, 0});
    trigger.next<protocol::Admitted>();
    units->roll_back("rebooted", "the node was rebooted");
    EXPECT_EQ(trigger.next<protocol::Result>().outcome, Outcome::rolled_back);
    EXPECT_EQ(units->started().at(0), "recover");
}

} // namespace
} // namespace waggle::agent

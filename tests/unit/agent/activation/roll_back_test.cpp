// Commits and rollbacks, started in every state by an agent, a timer or a user.

#include "agent/activation/activate.hpp"
#include "agent/activation/commit.hpp"
#include "agent/activation/recover.hpp"
#include "agent/activation/roll_back.hpp"
#include "tests/unit/agent/fake_actions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace waggle::agent {
namespace {

using protocol::Goal;
using protocol::Outcome;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

using Steps = std::vector<std::string>;
const auto other_system = test_path('c', "other");

TEST(Commit, InstallsTheBootLoaderWhenRequested) {
    FakeActions actions(Goal::switch_, DeploymentState::activated);
    actions.record_.install_boot_loader = true;
    commit(actions);
    EXPECT_EQ(actions.done, (Steps{"profile", "new boot with the boot loader"}));
}

TEST(Commit, SetsTheProfileThenTheBootLoader) {
    FakeActions actions(Goal::switch_, DeploymentState::activated);
    commit(actions);
    EXPECT_EQ(actions.done, (Steps{"profile", "new boot"}));
    EXPECT_EQ(actions.state_log(), (Steps{"activating", "activated", "committing", "committed"}));
    EXPECT_EQ(actions.record_.outcome, Outcome::ok);
    EXPECT_EQ(actions.record_.generation, 4);
    EXPECT_TRUE(actions.disarmed);
}

TEST(Recover, RestoresOnlyTheSecretsOfASecretsOnlyDeployment) {
    FakeActions actions(Goal::upload_keys, DeploymentState::activating);
    actions.record_.toplevel.reset();
    actions.record_.secrets_only = true;
    actions.current = actions.record_.previous_system;
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.done, Steps{});
    EXPECT_EQ(actions.secret_steps, std::vector{SecretsStep::back_after});
    EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back);
    EXPECT_THAT(actions.record_.message, HasSubstr("previous secrets are in place"));
}

TEST(Commit, LeavesTheProfileUnchangedForATest) {
    FakeActions actions(Goal::test, DeploymentState::activated);
    commit(actions);
    EXPECT_EQ(actions.done, Steps{});
    EXPECT_EQ(actions.record_.state, DeploymentState::activated);
    EXPECT_EQ(actions.record_.outcome, Outcome::ok);
    EXPECT_TRUE(actions.disarmed);
}

TEST(Commit, ReportsFailedUnitsThatWereKept) {
    FakeActions actions(Goal::switch_, DeploymentState::activated);
    actions.record_.problem_code = "units-failed";
    actions.record_.problem = "units failed: a.service";
    commit(actions);
    EXPECT_EQ(actions.record_.outcome, Outcome::ok_units_failed);
    EXPECT_EQ(actions.record_.message, "units failed: a.service");
}

TEST(Commit, RollsBackWhenTheProfileCannotBeSet) {
    FakeActions actions(Goal::switch_, DeploymentState::activated);
    actions.exit_codes = {{"profile", 1}};
    commit(actions);
    EXPECT_EQ(actions.done,
              (Steps{"profile", "old boot unchecked", "bus", "old test unchecked", "default.target", "restart agent"}));
    EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back);
    EXPECT_EQ(actions.record_.code, "profile-failed");
}

TEST(Commit, RestoresProfileAndBootLoaderWhenTheBootLoaderFails) {
    FakeActions actions(Goal::switch_, DeploymentState::activated);
    actions.exit_codes = {{"new boot", 1}};
    commit(actions);
    EXPECT_EQ(actions.done, (Steps{"profile", "new boot", "restore system-3-link", "old boot unchecked", "bus",
                                   "old test unchecked", "default.target", "restart agent"}));
    EXPECT_EQ(actions.state_log(), (Steps{"activating", "activated", "committing", "rolling-back", "rolled-back"}));
    EXPECT_EQ(actions.record_.code, "boot-loader-failed");
}

TEST(Commit, ReportsAnUnrestoredBootMenuInsteadOfRebooting) {
    FakeActions actions(Goal::switch_, DeploymentState::activated);
    actions.exit_codes = {{"new boot", 1}, {"old boot unchecked", 1}};
    commit(actions);
    EXPECT_EQ(actions.current, FakeActions::old_system);
    EXPECT_EQ(std::ranges::count(actions.done, "old boot unchecked"), 2) << "the switch may have made room";
    EXPECT_EQ(std::ranges::count(actions.done, "reboot"), 0);
    EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back);
    EXPECT_NE(actions.record_.message.find("switch-to-configuration boot on the node"), std::string::npos)
        << actions.record_.message;
}

TEST(Commit, SetsTheProfileToTheWholeSystemForASpecialisation) {
    FakeActions actions(Goal::switch_, DeploymentState::activated);
    actions.record_.target = test_path('c', "special");
    actions.current = actions.record_.target;
    commit(actions);
    EXPECT_EQ(actions.done, (Steps{"profile", "new boot"}));
    EXPECT_EQ(actions.record_.outcome, Outcome::ok);
}

TEST(Recovery, RunsThePreviousSpecialisationAgainAfterAPowerCut) {
    FakeActions actions(Goal::switch_);
    const auto special = test_path('d', "old-special");
    actions.record_.previous_system = special;
    actions.boot = "boot-2";
    actions.current = FakeActions::old_system; // what the boot loader starts
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.current, special);
    EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back) << actions.record_.message;
}

TEST(Commit, IsSupersededWhenAnotherProcessHasSwitched) {
    for (const bool to_old : {false, true}) {
        FakeActions actions(Goal::switch_, DeploymentState::activated);
        actions.current = to_old ? FakeActions::old_system : other_system;
        commit(actions);
        EXPECT_EQ(actions.done, Steps{});
        EXPECT_EQ(actions.record_.outcome, Outcome::refused);
        EXPECT_EQ(actions.record_.code, "superseded");
        EXPECT_TRUE(actions.disarmed);
    }
}

TEST(Commit, IsSupersededWhenAnotherProcessHasSetTheProfile) {
    FakeActions actions(Goal::switch_, DeploymentState::activated);
    actions.link = "system-9-link";
    actions.profile_ = other_system;
    commit(actions);
    EXPECT_EQ(actions.done, Steps{});
    EXPECT_EQ(actions.record_.code, "superseded");
}

struct RollBackCase {
    const char* name;
    DeploymentState state;
    RecoveryCause caller;
    bool rebooted; // into the old system
    std::string code;
    Steps done;
};
class Recovery : public testing::TestWithParam<RollBackCase> {};

TEST_P(Recovery, RestoresTheOldSystem) {
    FakeActions actions(Goal::switch_, GetParam().state);
    if (GetParam().rebooted) {
        actions.boot = "boot-2";
        actions.current = FakeActions::old_system;
    }
    recover(actions, GetParam().caller);
    EXPECT_EQ(actions.done, GetParam().done);
    EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back);
    EXPECT_EQ(actions.record_.state, DeploymentState::rolled_back);
    EXPECT_EQ(actions.record_.code, GetParam().code) << actions.record_.message;
    EXPECT_EQ(actions.current, FakeActions::old_system);
    EXPECT_TRUE(actions.disarmed);
}

const Steps switched_back{"bus", "old test unchecked", "default.target", "restart agent"};

INSTANTIATE_TEST_SUITE_P(
    Cases, Recovery,
    testing::Values(RollBackCase{"ActivationCutOff", DeploymentState::activating, RecoveryCause::agent, false,
                                 "cut-off", switched_back},
                    RollBackCase{"ActivationTooLong", DeploymentState::activating, RecoveryCause::activation_timer,
                                 false, "activation-timeout", switched_back},
                    RollBackCase{"PowerCutWhileActivating", DeploymentState::activating, RecoveryCause::agent, true,
                                 "rebooted", Steps{}},
                    RollBackCase{"NobodyConfirmed", DeploymentState::activated, RecoveryCause::confirm_timer, false,
                                 "not-confirmed", switched_back},
                    RollBackCase{"APersonAsks", DeploymentState::activated, RecoveryCause::person, false, "console",
                                 switched_back},
                    RollBackCase{"PowerCutBeforeTheConfirmation", DeploymentState::activated, RecoveryCause::agent,
                                 true, "rebooted", Steps{}},
                    RollBackCase{"PowerCutInTheCommit", DeploymentState::committing, RecoveryCause::agent, true,
                                 "rebooted", Steps{"old boot unchecked"}}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(Recovery, ContinuesARollback) {
    FakeActions actions(Goal::switch_, DeploymentState::rolling_back);
    actions.current = FakeActions::new_system;
    actions.record_.problem_code = "not-confirmed";
    actions.record_.problem = "nobody";
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.done, switched_back);
    EXPECT_EQ(actions.record_.code, "not-confirmed");
}

TEST(Recovery, EndsWhenAFallbackRebootHasStartedTheOldSystem) {
    FakeActions actions(Goal::switch_, DeploymentState::rolling_back);
    actions.boot = "boot-2";
    actions.record_.problem_code = "not-confirmed";
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.done, Steps{});
    EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back);
}

TEST(Recovery, FinishesAnInterruptedCommit) {
    FakeActions actions(Goal::switch_, DeploymentState::committing);
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.done, (Steps{"profile", "new boot"}));
    EXPECT_EQ(actions.record_.outcome, Outcome::ok);
}

TEST(Recovery, FinishesACommitAfterABootOfTheNewSystem) {
    FakeActions actions(Goal::switch_, DeploymentState::committing);
    actions.boot = "boot-2";
    actions.profile_ = FakeActions::new_system;
    actions.link = "system-4-link";
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.record_.outcome, Outcome::ok);
}

TEST(Recovery, LeavesASystemThatAwaitsConfirmation) {
    FakeActions actions(Goal::switch_, DeploymentState::activated);
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.done, Steps{});
    EXPECT_FALSE(actions.record_.outcome);
    EXPECT_FALSE(actions.disarmed);
}

// The rollback may have been interrupted after it saved its outcome and before it restarted the agent.
TEST(Recovery, RestartsTheOldAgentAfterACompletedRollback) {
    FakeActions actions(Goal::switch_, DeploymentState::rolled_back);
    actions.record_.outcome = Outcome::rolled_back;
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.done, Steps{"restart agent"});
    EXPECT_TRUE(actions.disarmed);
}

TEST(Recovery, KeepsTheFirstReasonWhenTheOutcomeCannotBeSaved) {
    FakeActions actions(Goal::switch_, DeploymentState::activating);
    actions.exit_codes = {{"new test", 1}};
    actions.fails_to_write_at = 2;
    activate(actions);
    EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back);
    EXPECT_EQ(actions.record_.code, "activation-failed");
    EXPECT_THAT(actions.record_.message, HasSubstr("exit code 1"));
}

// The outcome was saved, and then another step failed.
TEST(Recovery, DisarmsTheTimersOnAFailureAfterTheEnd) {
    FakeActions actions(Goal::switch_, DeploymentState::committed);
    actions.record_.outcome = Outcome::ok;
    fail(actions, {"commit-failed", "syncing: input/output error"});
    EXPECT_EQ(actions.record_.outcome, Outcome::ok);
    EXPECT_EQ(actions.done, Steps{});
    EXPECT_TRUE(actions.disarmed);
}

TEST(Recovery, ChangesNothingAfterADeploymentHasEnded) {
    for (const auto state : {DeploymentState::committed, DeploymentState::failed}) {
        FakeActions actions(Goal::switch_, state);
        actions.record_.outcome = Outcome::ok;
        recover(actions, RecoveryCause::confirm_timer);
        EXPECT_EQ(actions.done, Steps{});
        EXPECT_TRUE(actions.disarmed);
    }
}

TEST(Recovery, LeavesASystemThatAnotherProcessActivated) {
    FakeActions actions(Goal::switch_, DeploymentState::activated);
    actions.current = other_system;
    recover(actions, RecoveryCause::confirm_timer);
    EXPECT_EQ(actions.done, Steps{});
    EXPECT_EQ(actions.record_.code, "superseded");
}

TEST(Recovery, GivesUpInALoop) {
    FakeActions actions(Goal::switch_, DeploymentState::rolling_back);
    actions.current = FakeActions::new_system;
    actions.exit_codes = {{"old test unchecked", 1}};
    int rounds = 0;
    while (!actions.record_.outcome && rounds < 100) {
        recover(actions, RecoveryCause::agent);
        ++rounds;
    }
    EXPECT_LT(rounds, 30);
    EXPECT_EQ(actions.record_.outcome, Outcome::unknown);
    EXPECT_EQ(actions.record_.state, DeploymentState::failed);
    EXPECT_EQ(actions.record_.code, "loop");
}

} // namespace
} // namespace waggle::agent

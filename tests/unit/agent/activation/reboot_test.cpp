#include "agent/activation/activate.hpp"
#include "agent/activation/commit.hpp"
#include "agent/activation/pending_boot.hpp"
#include "agent/activation/reboot.hpp"
#include "agent/activation/recover.hpp"
#include "shared/base/file.hpp"
#include "tests/unit/agent/fake_actions.hpp"

#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

using protocol::Goal;
using protocol::Outcome;
using protocol::Reboot;
using Steps = std::vector<std::string>;

FakeActions with(Goal goal, Reboot reboot) {
    FakeActions actions(goal);
    actions.record_.reboot = reboot;
    return actions;
}

TEST(Reboot, GoalBootWaitsForAReboot) {
    FakeActions actions(Goal::boot);
    activate(actions);
    EXPECT_EQ(actions.done, Steps{"boot once new"});
    EXPECT_EQ(actions.record_.state, DeploymentState::awaiting_reboot);
    EXPECT_EQ(actions.record_.outcome, Outcome::ok) << "it does not hold the node until then";
}

TEST(Reboot, IsWatchedUntilTheSystemIsCommitted) {
    auto actions = with(Goal::boot, Reboot::never);
    activate(actions);
    EXPECT_TRUE(actions.watched);
    actions.boot = "boot-2";
    actions.current = FakeActions::new_system;
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.record_.state, DeploymentState::committed);
    EXPECT_FALSE(actions.watched);
}

TEST(Reboot, BootWatchRollsBackASystemWithoutAnAgent) {
    auto actions = with(Goal::boot, Reboot::always);
    activate(actions);
    actions.done.clear();
    actions.boot = "boot-2";
    actions.current = FakeActions::new_system;
    recover(actions, RecoveryCause::boot_watch);
    EXPECT_EQ(actions.done, Steps{"reboot"});
    EXPECT_EQ(actions.record_.problem_code, "agent-not-started");
    EXPECT_TRUE(actions.watched) << "nothing is over yet";

    actions.boot = "boot-3";
    actions.current = FakeActions::old_system;
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back);
    EXPECT_EQ(actions.record_.code, "agent-not-started");
    EXPECT_FALSE(actions.watched);
}

TEST(Reboot, KeepsFailedUnitsWithTheSameOutcomeAsASwitch) {
    for (const auto reboot : {Reboot::never, Reboot::always}) {
        auto actions = with(Goal::boot, reboot);
        actions.record_.rollback.keep_on_failed_units = true;
        activate(actions);
        actions.boot = "boot-2";
        actions.current = FakeActions::new_system;
        actions.failed = {"web.service"};
        recover(actions, RecoveryCause::agent);
        if (reboot == Reboot::always)
            commit(actions);
        EXPECT_EQ(actions.record_.outcome, Outcome::ok_units_failed);
        EXPECT_EQ(actions.record_.code, "units-failed");
    }
}

TEST(Reboot, CancelsAnUnrecordedOneTimeBoot) {
    auto actions = with(Goal::switch_, Reboot::always);
    actions.loader.once = FakeActions::new_system; // prepared, but not written
    actions.watched = true;
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back);
    EXPECT_EQ(actions.loader.once, std::nullopt) << "the next boot is of the old system, too";
    EXPECT_FALSE(actions.watched);
}

TEST(Reboot, CancelsAStaleOneTimeBootWhenANewerDeploymentHasEnded) {
    FakeActions actions(Goal::push, DeploymentState::failed);
    actions.record_.outcome = Outcome::failed_before_activation;
    actions.loader.once = FakeActions::new_system;
    actions.watched = true;
    recover(actions, RecoveryCause::boot_watch);
    EXPECT_EQ(actions.loader.once, std::nullopt);
    EXPECT_FALSE(actions.watched);
    EXPECT_EQ(actions.done, Steps{});

    actions.record_.state = DeploymentState::rolled_back;
    recover(actions, RecoveryCause::boot_watch);
    EXPECT_EQ(actions.done, Steps{}) << "the agent asked for this: it is not started again and again";
}

TEST(Reboot, BootWatchIgnoresASystemThatAwaitsConfirmation) {
    auto actions = with(Goal::boot, Reboot::always);
    activate(actions);
    actions.boot = "boot-2";
    actions.current = FakeActions::new_system;
    recover(actions, RecoveryCause::agent);
    ASSERT_EQ(actions.record_.state, DeploymentState::activated);
    recover(actions, RecoveryCause::boot_watch);
    EXPECT_EQ(actions.record_.state, DeploymentState::activated);
}

TEST(Reboot, BootWatchDoesNothingBeforeTheReboot) {
    auto actions = with(Goal::boot, Reboot::never);
    activate(actions);
    recover(actions, RecoveryCause::boot_watch);
    EXPECT_EQ(actions.record_.state, DeploymentState::awaiting_reboot);
    EXPECT_EQ(actions.done, Steps{"boot once new"});
}

TEST(Reboot, HappensAtOnceWhenRequested) {
    auto actions = with(Goal::switch_, Reboot::always);
    activate(actions);
    EXPECT_EQ(actions.done, (Steps{"boot once new", "reboot"}));
    EXPECT_EQ(actions.record_.state, DeploymentState::awaiting_reboot);
    EXPECT_FALSE(actions.record_.outcome);
}

TEST(Reboot, IfNeededHappensOnlyWhenTheSystemNeedsOne) {
    auto same = with(Goal::switch_, Reboot::if_needed);
    activate(same);
    EXPECT_EQ(same.record_.state, DeploymentState::activated);
    auto other = with(Goal::switch_, Reboot::if_needed);
    other.needs_reboot_ = true;
    activate(other);
    EXPECT_EQ(other.done, (Steps{"boot once new", "reboot"}));
}

TEST(Reboot, IsRefusedWhenTheBootLoaderCannotBootOnce) {
    auto actions = with(Goal::switch_, Reboot::always);
    actions.loader.can_boot_once_ = false;
    activate(actions);
    EXPECT_EQ(actions.record_.outcome, Outcome::refused);
    EXPECT_EQ(actions.record_.code, "cannot-boot-once");
    EXPECT_NE(actions.record_.message.find("extlinux"), std::string::npos);
    EXPECT_TRUE(actions.done.empty());

    auto for_good = with(Goal::switch_, Reboot::always);
    for_good.loader.can_boot_once_ = false;
    for_good.record_.rollback.enable = false;
    activate(for_good);
    EXPECT_EQ(for_good.done, (Steps{"profile", "new boot", "reboot"}));

    FakeActions boot(Goal::boot);
    boot.loader.can_boot_once_ = false;
    activate(boot);
    EXPECT_EQ(boot.done, (Steps{"profile", "new boot"})) << "goal boot makes it the default";
    EXPECT_EQ(boot.record_.outcome, Outcome::ok);
    EXPECT_FALSE(boot.said.empty()) << "and says so";
}

FakeActions booted(Reboot reboot) {
    FakeActions actions(Goal::boot, DeploymentState::awaiting_reboot);
    actions.record_.reboot = reboot;
    actions.boot = "boot-2";
    actions.current = FakeActions::new_system;
    return actions;
}

TEST(Reboot, CommitsAHealthyBootedSystem) {
    auto actions = booted(Reboot::never);
    actions.record_.outcome = Outcome::ok;
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.done, (Steps{"profile", "new boot"}));
    EXPECT_EQ(actions.record_.state, DeploymentState::committed);
}

TEST(Reboot, AwaitsConfirmationAfterwards) {
    auto actions = booted(Reboot::always);
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.done, (Steps{"arm", "restart agent"}));
    EXPECT_EQ(actions.record_.state, DeploymentState::activated);
    EXPECT_EQ(actions.record_.boot_id, "boot-2") << "an agent of this boot keeps it";
}

TEST(Reboot, RebootsOutOfAnUnhealthySystem) {
    auto actions = booted(Reboot::always);
    actions.unhealthy = "no honey";
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.done, Steps{"reboot"});
    EXPECT_EQ(actions.record_.state, DeploymentState::rolling_back);
    // The default is the old system.
    actions.boot = "boot-3";
    actions.current = FakeActions::old_system;
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.done, Steps{"reboot"});
    EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back);
    EXPECT_NE(actions.record_.message.find("no honey"), std::string::npos);
}

TEST(Reboot, BootingTheOldSystemEndsTheDeployment) {
    auto actions = booted(Reboot::always);
    actions.current = FakeActions::old_system;
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back);
    EXPECT_EQ(actions.record_.code, "not-booted");
}

TEST(Reboot, RecoveryDoesNothingBeforeTheReboot) {
    auto actions = booted(Reboot::never);
    actions.boot = actions.record_.boot_id;
    actions.record_.outcome = Outcome::ok;
    recover(actions, RecoveryCause::agent);
    EXPECT_TRUE(actions.done.empty());
    EXPECT_EQ(actions.record_.state, DeploymentState::awaiting_reboot);
}

TEST(Reboot, RecoversWhenTheRequesterWasKilled) {
    auto actions = booted(Reboot::always);
    actions.boot = actions.record_.boot_id;
    recover(actions, RecoveryCause::agent);
    EXPECT_EQ(actions.done, Steps{"reboot"});
    EXPECT_TRUE(actions.disarmed);
    EXPECT_EQ(actions.record_.state, DeploymentState::awaiting_reboot);
}

TEST(Reboot, IsNeededForAnotherKernelInitrdOrModules) {
    const TemporaryFolder folder;
    namespace fs = std::filesystem;
    for (const auto* system : {"a", "b", "c"}) {
        fs::create_directories(folder.path() / system);
        for (const auto* part : {"kernel", "initrd", "kernel-modules"}) {
            const auto file = folder.path() / (std::string(part) + (*system == 'c' ? "-other" : ""));
            write_file_atomically(file, "", 0644);
            fs::create_symlink(file, folder.path() / system / part);
        }
    }
    EXPECT_FALSE(kernel_differs(folder.path() / "a", folder.path() / "b"));
    EXPECT_TRUE(kernel_differs(folder.path() / "a", folder.path() / "c"));
    fs::remove(folder.path() / "b/initrd");
    EXPECT_TRUE(kernel_differs(folder.path() / "a", folder.path() / "b"));
}

} // namespace
} // namespace waggle::agent

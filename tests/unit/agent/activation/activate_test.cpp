#include "agent/activation/activate.hpp"
#include "tests/unit/agent/fake_actions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

using protocol::Goal;
using protocol::Outcome;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

using Steps = std::vector<std::string>;

struct ActivateCase {
    const char* name;
    Goal goal;
    std::map<std::string, int> exit_codes;
    std::vector<std::string> failed_units;
    std::optional<Outcome> outcome;
    std::string code;
    Steps done;
    Steps state_log;
    bool keep = false;
    bool rollback = true;
};

class ActivationTable : public testing::TestWithParam<ActivateCase> {};

TEST_P(ActivationTable, DoesItsStepsAndRecordsTheOutcome) {
    FakeActions actions(GetParam().goal);
    actions.exit_codes = GetParam().exit_codes;
    actions.failed = GetParam().failed_units;
    actions.record_.failed_units = {"before.service"};
    actions.record_.rollback.keep_on_failed_units = GetParam().keep;
    actions.record_.rollback.enable = GetParam().rollback;
    activate(actions);
    EXPECT_EQ(actions.done, GetParam().done);
    EXPECT_EQ(actions.state_log(), GetParam().state_log);
    EXPECT_EQ(actions.record_.outcome, GetParam().outcome) << actions.record_.message;
    EXPECT_EQ(actions.record_.code, GetParam().code);
    EXPECT_EQ(actions.disarmed, GetParam().outcome.has_value());
}

const Steps handed_over{"new test", "arm", "restart agent"};
const Steps and_back{"new test", "bus", "old test unchecked", "default.target", "restart agent"};
const Steps activated_log{"activating", "activated"};
const Steps back_log{"activating", "rolling-back", "rolled-back"};
const Steps refused_log{"activating", "failed"};
const Steps committed_log{"activating", "committing", "committed"};

const std::vector<ActivateCase> cases{
    {"SwitchIsHandedOver", Goal::switch_, {}, {}, std::nullopt, "", handed_over, activated_log},
    {"TestIsHandedOver", Goal::test, {}, {}, std::nullopt, "", handed_over, activated_log},
    {"DryActivate", Goal::dry_activate, {}, {}, Outcome::ok, "", {"new dry-activate"}, {"activating", "staged"}},
    {"DryActivateFails",
     Goal::dry_activate,
     {{"new dry-activate", 1}},
     {},
     Outcome::failed_before_activation,
     "dry-activate-failed",
     {"new dry-activate"},
     refused_log},
    {"RefusedBeforeAnything",
     Goal::switch_,
     {{"new test", 100}},
     {},
     Outcome::refused,
     "pre-switch-check",
     {"new test"},
     refused_log},
    {"ActivationFails",
     Goal::switch_,
     {{"new test", 1}},
     {},
     Outcome::rolled_back,
     "activation-failed",
     and_back,
     back_log},
    {"ActivationIsKilled",
     Goal::test,
     {{"new test", -1}},
     {},
     Outcome::rolled_back,
     "activation-failed",
     and_back,
     back_log},
    {"ActivationTakesTooLong",
     Goal::switch_,
     {{"new test", times_out}},
     {},
     Outcome::rolled_back,
     "activation-timeout",
     and_back,
     back_log},
    {"UnitsFail",
     Goal::switch_,
     {{"new test", 4}},
     {"a.service", "before.service"},
     Outcome::rolled_back,
     "units-failed",
     and_back,
     back_log},
    {"UnitsFailWithoutAWordOfSwitchToConfiguration",
     Goal::switch_,
     {},
     {"a.service"},
     Outcome::rolled_back,
     "units-failed",
     and_back,
     back_log},
    {"UnitsThatFailedBeforeAreNoReason",
     Goal::switch_,
     {{"new test", 4}},
     {"before.service"},
     std::nullopt,
     "",
     handed_over,
     activated_log},
    {"UnitsFailAndAreKept",
     Goal::switch_,
     {{"new test", 4}},
     {"a.service"},
     std::nullopt,
     "",
     handed_over,
     activated_log,
     true},
    {"WithoutRollbackItIsCommittedAtOnce",
     Goal::switch_,
     {},
     {},
     Outcome::ok,
     "",
     {"new test", "profile", "new boot", "restart agent"},
     committed_log,
     false,
     false},
    {"UnitsFailWithoutRollback",
     Goal::switch_,
     {{"new test", 4}},
     {"a.service"},
     Outcome::ok_units_failed,
     "units-failed",
     {"new test", "profile", "new boot", "restart agent"},
     committed_log,
     false,
     false},
    {"ActivationFailsWithoutRollback",
     Goal::switch_,
     {{"new test", 2}},
     {},
     Outcome::unknown,
     "activation-failed",
     {"new test"},
     refused_log,
     false,
     false},
    {"TheNewAgentIsNotThere",
     Goal::switch_,
     {{"restart agent", 5}},
     {},
     Outcome::rolled_back,
     "agent-not-started",
     {"new test", "arm", "restart agent", "bus", "old test unchecked", "default.target", "restart agent"},
     {"activating", "activated", "rolling-back", "rolled-back"}},
    {"OldUnitsFailAfterRollback",
     Goal::test,
     {{"new test", 1}, {"old test unchecked", 4}},
     {},
     Outcome::rolled_back,
     "activation-failed",
     and_back,
     back_log},
};

INSTANTIATE_TEST_SUITE_P(Cases, ActivationTable, testing::ValuesIn(cases),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(Activation, InstallsSecretsBeforeAndAfterTheSystem) {
    FakeActions actions(Goal::switch_);
    activate(actions);
    EXPECT_THAT(actions.secret_steps, ElementsAre(SecretsStep::before_activation, SecretsStep::after_activation));
}

TEST(Activation, ActivatesNothingWhenSecretsCannotBeInstalled) {
    FakeActions actions(Goal::switch_);
    actions.secrets_fail_at = SecretsStep::before_activation;
    activate(actions);
    EXPECT_EQ(actions.record_.outcome, Outcome::failed_before_activation);
    EXPECT_EQ(actions.record_.code, "secrets-failed");
    EXPECT_EQ(actions.done, Steps{});
    EXPECT_EQ(actions.secret_steps.back(), SecretsStep::back_after);
}

TEST(Activation, RollsBackSystemAndSecretsWhenSecretsFailAfterActivation) {
    FakeActions actions(Goal::switch_);
    actions.secrets_fail_at = SecretsStep::after_activation;
    activate(actions);
    EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back);
    EXPECT_THAT(actions.record_.message, HasSubstr("no user nginx"));
    EXPECT_THAT(actions.secret_steps, ElementsAre(SecretsStep::before_activation, SecretsStep::after_activation,
                                                  SecretsStep::back_before, SecretsStep::back_after));
}

TEST(Activation, RollsBackEvenIfThePreviousSecretsCannotBeRestored) {
    FakeActions actions(Goal::switch_);
    actions.unhealthy = "the http check fails";
    actions.secrets_fail_at = SecretsStep::back_before;
    activate(actions);
    EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back);
    EXPECT_THAT(actions.said, Contains(HasSubstr("were not restored")));
}

TEST(Activation, ActivatesNoSystemForSecretsOnly) {
    for (const bool changed : {true, false}) {
        FakeActions actions(Goal::switch_);
        actions.record_.secrets_only = true;
        actions.secrets_change = changed;
        activate(actions);
        EXPECT_EQ(actions.done, Steps{});
        EXPECT_THAT(actions.secret_steps, ElementsAre(SecretsStep::after_activation));
        EXPECT_EQ(actions.record_.outcome, changed ? Outcome::ok : Outcome::unchanged);
        EXPECT_EQ(actions.record_.state, DeploymentState::committed);
        EXPECT_TRUE(actions.disarmed);
    }
}

TEST(Activation, ReportsASecretThatWasNotRemoved) {
    for (const bool alone : {true, false}) {
        FakeActions actions(Goal::switch_);
        actions.record_.secrets_only = alone;
        actions.record_.rollback.enable = false; // committed at once
        actions.leaves_secrets = true;
        activate(actions);
        EXPECT_EQ(actions.record_.state, DeploymentState::committed);
        EXPECT_EQ(actions.record_.outcome, Outcome::ok_units_failed);
        EXPECT_EQ(actions.record_.code, "secrets-left");
        EXPECT_EQ(actions.record_.message, "secret old was not removed");
    }
}

TEST(Activation, RestoresSecretsWhenASecretsOnlyDeploymentFails) {
    FakeActions actions(Goal::switch_);
    actions.record_.secrets_only = true;
    actions.secrets_fail_at = SecretsStep::after_activation;
    activate(actions);
    EXPECT_EQ(actions.record_.outcome, Outcome::failed_before_activation);
    EXPECT_EQ(actions.secret_steps.back(), SecretsStep::back_after);
}

TEST(Activation, RunsPreSwitchChecksIfTheSystemSupportsThem) {
    FakeActions actions(Goal::test);
    actions.knows_check = true;
    activate(actions);
    EXPECT_EQ(actions.done, (Steps{"new check", "new test", "arm", "restart agent"}));
}

TEST(Activation, IsRefusedBeforeActivationWhenACheckFails) {
    FakeActions actions(Goal::switch_);
    actions.knows_check = true;
    actions.exit_codes = {{"new check", 1}};
    activate(actions);
    EXPECT_EQ(actions.record_.outcome, Outcome::refused);
    EXPECT_EQ(actions.record_.code, "pre-switch-check");
    EXPECT_EQ(actions.done, Steps{"new check"});
}

TEST(Activation, IsBusyWhileAnotherProcessSwitches) {
    for (const auto goal : {Goal::switch_, Goal::test, Goal::dry_activate}) {
        FakeActions actions(goal);
        actions.lock_holder = "process 7 (nixos-rebuild)";
        activate(actions);
        EXPECT_EQ(actions.record_.outcome, Outcome::refused);
        EXPECT_EQ(actions.record_.code, "busy");
        EXPECT_THAT(actions.record_.message, HasSubstr("process 7 (nixos-rebuild)"));
        EXPECT_EQ(actions.done, Steps{});
    }
}

TEST(Activation, IsBusyWhenAnotherProcessTakesTheLockFirst) {
    for (const auto* step : {"new check", "new test"}) {
        FakeActions actions(Goal::switch_);
        actions.knows_check = true;
        actions.exit_codes = {{step, 11}};
        activate(actions);
        EXPECT_EQ(actions.record_.code, "busy") << step;
        EXPECT_EQ(actions.record_.outcome, Outcome::refused);
    }
}

TEST(Activation, RefusalNamesTheSwitchInhibitors) {
    for (const auto* step : {"new check", "new test"}) {
        FakeActions actions(Goal::switch_);
        actions.knows_check = true;
        actions.exit_codes = {{step, step == std::string("new test") ? 100 : 1}};
        actions.inhibitors = "dbus-implementation (dbus, then broker)";
        activate(actions);
        EXPECT_EQ(actions.record_.code, "pre-switch-check");
        EXPECT_THAT(actions.record_.message, HasSubstr("dbus-implementation (dbus, then broker)"));
        EXPECT_THAT(actions.record_.message, HasSubstr("--reboot"));
    }
}

TEST(Activation, RecordsTheUnitsAfterTheCheckAndBeforeTheSwitch) {
    FakeActions actions(Goal::switch_);
    actions.knows_check = true;
    activate(actions);
    EXPECT_EQ(actions.done_before_units, Steps{"new check"});
}

TEST(Activation, RollsBackAnUnhealthySystem) {
    FakeActions actions(Goal::switch_);
    actions.unhealthy = "the http check fails: status 502";
    activate(actions);
    EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back);
    EXPECT_EQ(actions.record_.code, "health-check");
    EXPECT_THAT(actions.record_.message, HasSubstr("status 502"));
    EXPECT_THAT(actions.record_.message, HasSubstr(FakeActions::old_system.base_name() + " runs again"));
}

TEST(Activation, RollsBackWhenTheScriptActivatedNothingWhateverItsExitCode) {
    for (const int code : {0, 4}) {
        FakeActions actions(Goal::switch_);
        actions.exit_codes = {{"new test", code}};
        actions.does_nothing = {"new"};
        activate(actions);
        EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back);
        EXPECT_EQ(actions.record_.code, "activation-failed");
        EXPECT_THAT(actions.record_.message,
                    HasSubstr("ended with exit code " + std::to_string(code) + ", but the current system is " +
                              FakeActions::old_system.base_name()));
        EXPECT_EQ(actions.current, FakeActions::old_system);
    }
}

TEST(Activation, NamesFailedMountsWhenTheScriptFails) {
    FakeActions actions(Goal::switch_);
    actions.exit_codes = {{"new test", 1}};
    actions.record_.failed_units = {"old.mount"};
    actions.failed = {"a.service", "data.mount", "old.mount"};
    activate(actions);
    EXPECT_THAT(actions.record_.message,
                HasSubstr("switch-to-configuration test: exit code 1; a mount failed: data.mount;"));
}

TEST(Activation, NamesAFailedMountOnce) {
    FakeActions actions(Goal::switch_);
    actions.failed = {"data.mount"};
    activate(actions);
    EXPECT_THAT(actions.record_.message, HasSubstr("units failed: data.mount; "));
    EXPECT_THAT(actions.record_.message, Not(HasSubstr("a mount failed")));
}

TEST(Activation, ReportsThatNoPreviousSystemIsKnown) {
    FakeActions actions(Goal::test);
    actions.current = actions.record_.previous_system = std::nullopt;
    actions.exit_codes = {{"new test", 1}};
    activate(actions);
    EXPECT_EQ(actions.record_.outcome, Outcome::unknown);
    EXPECT_THAT(actions.record_.message, HasSubstr("no previous system is known"));
}

TEST(Activation, RebootsWhenTheOldSystemCannotBeSwitchedTo) {
    FakeActions actions(Goal::switch_);
    actions.exit_codes = {{"new test", 1}, {"old test unchecked", 1}};
    activate(actions);
    EXPECT_EQ(actions.done, (Steps{"new test", "bus", "old test unchecked", "old test unchecked", "old test unchecked",
                                   "old test unchecked", "reboot"}))
        << "it did nothing, so it is tried again";
    EXPECT_EQ(actions.state_log(), (Steps{"activating", "rolling-back", "rolling-back"}));
    EXPECT_FALSE(actions.record_.outcome);
    EXPECT_FALSE(actions.disarmed);
}

TEST(Activation, RollsBackWhenTheStateCannotBeSaved) {
    FakeActions actions(Goal::switch_);
    actions.fails_to_write_at = 1;
    activate(actions);
    EXPECT_EQ(actions.record_.outcome, Outcome::rolled_back);
    EXPECT_THAT(actions.record_.message, HasSubstr("no space left"));
    EXPECT_THAT(actions.done, Contains("old test unchecked"));
}

} // namespace
} // namespace waggle::agent

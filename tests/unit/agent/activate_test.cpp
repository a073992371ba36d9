#include "agent/activate.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace waggle::agent {
namespace {

using protocol::Goal;
using protocol::Outcome;

const auto old_system = test_path('a', "old");
const auto new_system = test_path('b', "new");

// Remembers what was done; the named steps end as the test says.
class FakeActions : public ActivationActions {
public:
    std::optional<nix::StorePath> current = old_system;
    bool knows_check = false;
    std::map<std::string, int> exit_codes; // "new test" → 4
    std::string throws_at;
    std::vector<std::string> done;
    std::vector<ActivationReport> reports;

    std::optional<nix::StorePath> current_system() override { return current; }
    bool has_check(const nix::StorePath&) override { return knows_check; }
    End switch_to_configuration(const nix::StorePath& toplevel, std::string_view action, bool no_check) override {
        auto step = std::string(toplevel.name()) + " " + std::string(action) + (no_check ? " unchecked" : "");
        return act(step);
    }
    std::string profile_link() override { return "system-3-link"; }
    End set_profile(const nix::StorePath&) override { return act("profile"); }
    void restore_profile_link(const std::string& link) override { done.push_back("restore " + link); }
    std::optional<std::uint64_t> generation() override { return 4; }
    void report(const ActivationReport& report) override {
        if (report.step == throws_at)
            throw Error("no space left on device");
        reports.push_back(report);
    }
    void say(std::string_view) override {}

private:
    End act(const std::string& step) {
        done.push_back(step);
        const int code = exit_codes.contains(step) ? exit_codes[step] : 0;
        if (code < 0)
            return {std::nullopt, "killed by signal 9"};
        return {code, "exit code " + std::to_string(code)};
    }
};

ActivationPlan plan(Goal goal) {
    return {.id = {}, .goal = goal, .toplevel = new_system, .keep_on_failed_units = false, .rollback = true};
}

struct Case {
    const char* name;
    Goal goal;
    std::map<std::string, int> exit_codes;
    Outcome outcome;
    std::string code;
    std::vector<std::string> done;
    bool keep = false;
    bool rollback = true;
};

class ActivationTable : public testing::TestWithParam<Case> {};

TEST_P(ActivationTable, DoesItsStepsAndReportsHowItEnded) {
    FakeActions actions;
    actions.exit_codes = GetParam().exit_codes;
    auto the_plan = plan(GetParam().goal);
    the_plan.keep_on_failed_units = GetParam().keep;
    the_plan.rollback = GetParam().rollback;
    const auto report = activate(the_plan, actions);
    ASSERT_TRUE(report.outcome);
    EXPECT_EQ(to_string(*report.outcome), to_string(GetParam().outcome)) << report.message;
    EXPECT_EQ(report.code, GetParam().code);
    EXPECT_EQ(actions.done, GetParam().done);
}

using Steps = std::vector<std::string>;
const Steps all_of_switch{"new test", "profile", "new boot"};

const std::vector<Case> cases{
    {"Switch", Goal::switch_, {}, Outcome::ok, "", all_of_switch},
    {"Test", Goal::test, {}, Outcome::ok, "", {"new test"}},
    {"Boot", Goal::boot, {}, Outcome::ok, "", {"profile", "new boot"}},
    {"DryActivate", Goal::dry_activate, {}, Outcome::ok, "", {"new dry-activate"}},
    {"DryActivateFails",
     Goal::dry_activate,
     {{"new dry-activate", 1}},
     Outcome::failed_before_activation,
     "dry-activate-failed",
     {"new dry-activate"}},
    {"RefusedBeforeAnything", Goal::switch_, {{"new test", 100}}, Outcome::refused, "pre-switch-check", {"new test"}},
    {"ActivationFails",
     Goal::switch_,
     {{"new test", 1}},
     Outcome::rolled_back,
     "activation-failed",
     {"new test", "old test unchecked"}},
    {"ActivationIsKilled",
     Goal::test,
     {{"new test", -1}},
     Outcome::rolled_back,
     "activation-failed",
     {"new test", "old test unchecked"}},
    {"UnitsFail",
     Goal::switch_,
     {{"new test", 4}},
     Outcome::rolled_back,
     "units-failed",
     {"new test", "old test unchecked"}},
    {"UnitsFailAndAreKept",
     Goal::switch_,
     {{"new test", 4}},
     Outcome::ok_units_failed,
     "units-failed",
     all_of_switch,
     true},
    {"UnitsFailWithoutRollback",
     Goal::switch_,
     {{"new test", 4}},
     Outcome::ok_units_failed,
     "units-failed",
     all_of_switch,
     false,
     false},
    {"ActivationFailsWithoutRollback",
     Goal::switch_,
     {{"new test", 2}},
     Outcome::unknown,
     "activation-failed",
     {"new test"},
     false,
     false},
    {"RollbackFails",
     Goal::test,
     {{"new test", 1}, {"old test unchecked", 1}},
     Outcome::unknown,
     "rollback-failed",
     {"new test", "old test unchecked"}},
    {"OldUnitsFailAfterRollback",
     Goal::test,
     {{"new test", 1}, {"old test unchecked", 4}},
     Outcome::rolled_back,
     "activation-failed",
     {"new test", "old test unchecked"}},
    {"ProfileFailsOnSwitch",
     Goal::switch_,
     {{"profile", 1}},
     Outcome::rolled_back,
     "profile-failed",
     {"new test", "profile", "restore system-3-link", "old test unchecked"}},
    {"BootLoaderFailsOnSwitch",
     Goal::switch_,
     {{"new boot", 1}},
     Outcome::rolled_back,
     "boot-loader-failed",
     {"new test", "profile", "new boot", "restore system-3-link", "old boot unchecked", "old test unchecked"}},
    {"BootLoaderFailsOnBoot",
     Goal::boot,
     {{"new boot", 1}},
     Outcome::rolled_back,
     "boot-loader-failed",
     {"profile", "new boot", "restore system-3-link", "old boot unchecked"}},
};

INSTANTIATE_TEST_SUITE_P(Cases, ActivationTable, testing::ValuesIn(cases),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(Activation, AsksForTheChecksWhereTheSystemKnowsThem) {
    FakeActions actions;
    actions.knows_check = true;
    EXPECT_EQ(activate(plan(Goal::test), actions).outcome, Outcome::ok);
    EXPECT_EQ(actions.done, (Steps{"new check", "new test"}));
}

TEST(Activation, IsRefusedByAFailedCheckBeforeAnythingIsActivated) {
    FakeActions actions;
    actions.knows_check = true;
    actions.exit_codes = {{"new check", 1}};
    const auto report = activate(plan(Goal::switch_), actions);
    EXPECT_EQ(report.outcome, Outcome::refused);
    EXPECT_EQ(report.code, "pre-switch-check");
    EXPECT_EQ(actions.done, Steps{"new check"});
}

TEST(Activation, SaysSoWhenThereIsNothingToGoBackTo) {
    FakeActions actions;
    actions.current = std::nullopt;
    actions.exit_codes = {{"new test", 1}};
    const auto report = activate(plan(Goal::test), actions);
    EXPECT_EQ(report.outcome, Outcome::unknown);
    EXPECT_NE(report.message.find("no system that ran before"), std::string::npos);
}

TEST(Activation, NeedsNoOldSystemWhereOnlyTheProfileWasTouched) {
    FakeActions actions;
    actions.current = std::nullopt;
    actions.exit_codes = {{"profile", 1}};
    EXPECT_EQ(activate(plan(Goal::boot), actions).outcome, Outcome::rolled_back);
    EXPECT_EQ(actions.done, (Steps{"profile", "restore system-3-link"}));
}

TEST(Activation, PersistsEachStepBeforeItIsDone) {
    FakeActions actions;
    activate(plan(Goal::switch_), actions);
    ASSERT_EQ(actions.reports.size(), 3);
    EXPECT_EQ(actions.reports[0].step, "test");
    EXPECT_EQ(actions.reports[1].step, "profile");
    EXPECT_EQ(actions.reports[2].step, "boot");
    EXPECT_FALSE(actions.reports[2].outcome);
}

TEST(Activation, DoesNothingWhenItsFirstStepCannotBeWritten) {
    FakeActions actions;
    actions.throws_at = "test";
    const auto report = activate(plan(Goal::switch_), actions);
    EXPECT_EQ(report.outcome, Outcome::failed_before_activation);
    EXPECT_TRUE(actions.done.empty());
}

TEST(Activation, GoesBackWhenALaterStepCannotBeWritten) {
    FakeActions actions;
    actions.throws_at = "profile";
    const auto report = activate(plan(Goal::switch_), actions);
    EXPECT_EQ(report.outcome, Outcome::rolled_back);
    EXPECT_EQ(actions.done, (Steps{"new test", "old test unchecked"}));
}

} // namespace
} // namespace waggle::agent

#include "agent/activation/examine.hpp"
#include "agent/activation/judge.hpp"
#include "agent/activation/unit_rules.hpp"
#include "tests/unit/agent/fake_actions.hpp"

#include <gmock/gmock.h>

namespace waggle::agent {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// A unit fails at the nth query, for every n.
TEST(WatchUnits, SeesAFailureAtAnyMoment) {
    for (int death = 1; death < 12; ++death) {
        int questions = 0;
        int pauses = 0;
        const auto is_dead = [&] { return ++questions >= death; };
        const auto units = watch_units({.look =
                                            [&] {
                                                return FailedUnits{is_dead() ? std::vector<std::string>{"a.service"}
                                                                             : std::vector<std::string>{},
                                                                   {}};
                                            },
                                        .any_may_fail = [&] { return !is_dead(); },
                                        .is_over = [&] { return pauses == 5; },
                                        .pause = [&] { ++pauses; }});
        EXPECT_THAT(units.blamed, ElementsAre("a.service")) << "it died at question " << death;
    }
}

TEST(WatchUnits, EndsWhenNothingCanFailOrTheTimeIsUp) {
    int looks = 0;
    UnitWatch watch{.look =
                        [&] {
                            ++looks;
                            return FailedUnits{};
                        },
                    .any_may_fail = [] { return false; },
                    .is_over = [] { return false; },
                    .pause = [] { FAIL() << "nothing is waited for"; }};
    EXPECT_THAT(watch_units(watch).blamed, IsEmpty());
    EXPECT_EQ(looks, 1);
    watch.any_may_fail = [] { return true; };
    watch.is_over = [&] { return looks == 3; };
    watch.pause = [] {};
    EXPECT_THAT(watch_units(watch).blamed, IsEmpty());
    EXPECT_EQ(looks, 4);
}

struct BlameRow {
    const char* name;
    FailedUnit unit;
    bool blamed;
};

class BlameTable : public testing::TestWithParam<BlameRow> {};

TEST_P(BlameTable, Decides) {
    const std::vector<FailedUnit> failed{GetParam().unit};
    const std::vector<std::string> ignored{"backup-*.service", "exact.service"};
    const auto units = find_blame(failed, ignored);
    EXPECT_EQ(units.blamed.size(), GetParam().blamed ? 1U : 0U);
    EXPECT_EQ(units.others.size(), GetParam().blamed ? 0U : 1U);
}

FailedUnit unit(std::string name, bool of_new_system, bool changed, bool started, bool failed_before = false) {
    return {std::move(name), of_new_system, changed, started, failed_before};
}

INSTANTIATE_TEST_SUITE_P(Rows, BlameTable,
                         testing::Values(BlameRow{"Changed", unit("a.service", true, true, false), true},
                                         BlameRow{"Started", unit("a.service", true, false, true), true},
                                         BlameRow{"Untouched", unit("a.service", true, false, false), false},
                                         BlameRow{"Transient", unit("run-1.service", false, false, true), false},
                                         BlameRow{"Before", unit("a.service", true, true, true, true), false},
                                         BlameRow{"Ignored", unit("exact.service", true, true, true), false},
                                         BlameRow{"IgnoredPattern", unit("backup-db.service", true, true, true), false},
                                         BlameRow{"LikeIgnored", unit("backup.service", true, true, true), true}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(Judge, AppliesTheRollbackPolicy) {
    const FailedUnits failed{.blamed = {"a.service"}, .others = {}};
    protocol::Rollback policy;
    EXPECT_EQ(judge({}, std::nullopt, policy).kind, Verdict::Kind::good);
    EXPECT_EQ(judge({.blamed = {}, .others = {"b.service"}}, std::nullopt, policy).kind, Verdict::Kind::good);
    EXPECT_EQ(judge(failed, std::nullopt, policy).kind, Verdict::Kind::bad);
    policy.keep_on_failed_units = true;
    EXPECT_EQ(judge(failed, std::nullopt, policy).kind, Verdict::Kind::flawed);
    EXPECT_EQ(judge(failed, "502", policy).kind, Verdict::Kind::bad);
    EXPECT_EQ(judge(failed, "502", policy).problem.code, "health-check");
    policy.keep_on_failed_units = false;
    policy.enable = false;
    EXPECT_EQ(judge(failed, std::nullopt, policy).kind, Verdict::Kind::flawed);
}

TEST(Judge, NamesTenOfManyFailedUnits) {
    std::vector<std::string> units;
    for (int i = 0; i < 400; ++i)
        units.push_back(std::string(200, 'x') + std::to_string(i) + ".service");
    const auto text = describe_failed(units);
    EXPECT_LT(text.size(), 3000U);
    EXPECT_THAT(text, HasSubstr("and 390 more"));
    EXPECT_EQ(describe_failed({"a.service", "b.service"}), "units failed: a.service, b.service");
}

TEST(Examine, ReportsWhatFailedAndItsLog) {
    FakeActions actions(protocol::Goal::switch_);
    actions.failed = {"web.service"};
    actions.other_failures = {"run-r1.service"};
    const auto problem = examine(actions);
    ASSERT_TRUE(problem);
    EXPECT_EQ(problem->text, "units failed: web.service");
    EXPECT_THAT(actions.said, Contains("log of web.service"));
    EXPECT_THAT(actions.said, Contains(HasSubstr("run-r1.service, which is not this deployment's doing")));
}

TEST(Examine, FindsAUnitThatFailsWhileTheSystemSettles) {
    FakeActions actions(protocol::Goal::switch_);
    actions.failed_when_settled = {"late.service"};
    const auto problem = examine(actions);
    ASSERT_TRUE(problem);
    EXPECT_EQ(problem->text, "units failed: late.service");
}

TEST(Examine, ReportsKeptFailedUnitsOnce) {
    FakeActions actions(protocol::Goal::switch_);
    actions.record_.rollback.keep_on_failed_units = true;
    actions.failed = {"web.service"};
    EXPECT_FALSE(examine(actions));
    EXPECT_EQ(actions.record_.problem_code, "units-failed");
    EXPECT_EQ(std::ranges::count(actions.said, "units failed: web.service"), 1);
    EXPECT_EQ(std::ranges::count(actions.said, "log of web.service"), 1);
}

TEST(UnitRules, AcceptOnlyValidRules) {
    const auto rules = parse_unit_rules(R"({"v":1,"ignoreUnits":["a*"],"settleTime":7})", "rules");
    EXPECT_THAT(rules.ignored, ElementsAre("a*"));
    EXPECT_EQ(rules.settle_time, std::chrono::seconds(7));
    EXPECT_THROW(parse_unit_rules(R"({"v":1,"ignoreUnits":[1],"settleTime":7})", "rules"), Error);
    EXPECT_THROW(parse_unit_rules(R"({"v":2,"ignoreUnits":[],"settleTime":7})", "rules"), Error);
}

} // namespace
} // namespace waggle::agent

#include "agent/secrets/restart_units.hpp"

#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

using std::chrono::microseconds;

UnitChange restart(const char* unit, int at) {
    return {.unit = unit, .reload = false, .at = microseconds(at)};
}
UnitChange reload(const char* unit, int at) {
    return {.unit = unit, .reload = true, .at = microseconds(at)};
}

const UnitStarts starts{{"a.service", microseconds(10)}, {"b.service", microseconds(200)}};

TEST(PlanRestarts, RestartsEachUnitOnce) {
    EXPECT_EQ(plan_restarts({restart("a.service", 100), restart("a.service", 120), reload("a.service", 130)}, starts),
              (RestartPlan{{"a.service"}, {}}));
}

TEST(PlanRestarts, SkipsUnitsStartedAfterTheirSecretChanged) {
    EXPECT_EQ(plan_restarts({restart("b.service", 199), reload("a.service", 100)}, starts),
              (RestartPlan{{}, {"a.service"}}));
    EXPECT_EQ(plan_restarts({restart("b.service", 199), restart("b.service", 201)}, starts),
              (RestartPlan{{"b.service"}, {}}));
}

TEST(PlanRestarts, ResolvesAliases) {
    const auto changes =
        with_own_names({reload("alias.service", 100), restart("a.service", 100), restart("c.service", 1)},
                       {{"alias.service", "a.service"}, {"c.service", ""}});
    EXPECT_EQ(plan_restarts(changes, starts), (RestartPlan{{"a.service"}, {}}));
    EXPECT_EQ(changes[2].unit, "c.service");
}

TEST(PlanRestarts, SkipsUnitsThatDoNotRun) {
    EXPECT_EQ(plan_restarts({restart("gone.service", 1)}, starts), RestartPlan{});
}

} // namespace
} // namespace waggle::agent

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

const UnitStarts starts{
    {"a.service", microseconds(10)}, {"b.service", microseconds(200)}, {"never.service", microseconds(0)}};

TEST(PlanRestarts, EachUnitOnce) {
    EXPECT_EQ(plan_restarts({restart("a.service", 100), restart("a.service", 120), reload("a.service", 130)}, starts),
              (RestartPlan{{"a.service"}, {}}));
}

TEST(PlanRestarts, NotWhatWasStartedAfterItsSecretHadChanged) {
    EXPECT_EQ(plan_restarts({restart("b.service", 199), reload("a.service", 100)}, starts),
              (RestartPlan{{}, {"a.service"}}));
    EXPECT_EQ(plan_restarts({restart("b.service", 199), restart("b.service", 201)}, starts),
              (RestartPlan{{"b.service"}, {}}));
}

TEST(PlanRestarts, NotWhatDoesNotExist) {
    EXPECT_EQ(plan_restarts({restart("gone.service", 1)}, starts), RestartPlan{});
}

TEST(ParseUnitStarts, ReadsWhatSystemctlShows) {
    EXPECT_EQ(parse_unit_starts("Id=a.service\nLoadState=loaded\nInactiveExitTimestampMonotonic=10\n\n"
                                "InactiveExitTimestampMonotonic=0\nId=gone.service\nLoadState=not-found\n\n"
                                "Id=b.service\nInactiveExitTimestampMonotonic=200\nLoadState=loaded\n"),
              (UnitStarts{{"a.service", microseconds(10)}, {"b.service", microseconds(200)}}));
    EXPECT_EQ(parse_unit_starts(""), UnitStarts{});
}

} // namespace
} // namespace waggle::agent

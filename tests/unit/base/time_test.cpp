#include "shared/base/error.hpp"
#include "shared/base/time.hpp"

#include <gtest/gtest.h>

namespace waggle {
namespace {

TEST(Rfc3339, RoundTrips) {
    for (const char* text : {"1970-01-01T00:00:00.000Z", "2026-11-22T09:42:00.123Z", "2028-02-29T23:59:59.999Z",
                             "2038-01-19T03:14:08.000Z", "2106-02-07T06:28:16.000Z", "9999-12-31T23:59:59.999Z"})
        EXPECT_EQ(to_rfc3339(parse_rfc3339(text)), text);
    EXPECT_EQ(to_rfc3339(parse_rfc3339("2026-11-22T09:42:00Z")), "2026-11-22T09:42:00.000Z");
    EXPECT_EQ(unix_ms(parse_rfc3339("1970-01-02T00:00:00.001Z")), 86'400'001);
}

TEST(Rfc3339, RefusesEverythingElse) {
    for (const char* text :
         {"", "2026-11-22", "2026-11-22T09:42:00", "2026-11-22T09:42:00+01:00", "2026-02-30T00:00:00Z",
          "2026-11-22T24:00:00Z", "2026-11-22T23:60:00Z", "2026-11-22 09:42:00Z", "2026-11-22T09:42:00.1Z",
          "2026-11-22T09:42:00.12aZ", "-026-11-22T09:42:00Z"})
        EXPECT_THROW(parse_rfc3339(text), Error) << text;
}

TEST(Deadline, LeavesNoTimeAfterItHasPassed) {
    EXPECT_EQ(poll_timeout_ms(deadline_in(std::chrono::seconds(-1))), 0);
    EXPECT_GT(poll_timeout_ms(deadline_in(std::chrono::seconds(60))), 58'000);
}

} // namespace
} // namespace waggle

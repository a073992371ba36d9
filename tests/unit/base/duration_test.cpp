#include "shared/base/duration.hpp"

#include <gtest/gtest.h>

namespace waggle {
namespace {

using namespace std::chrono_literals;

TEST(DescribeDuration, UsesTheLargestUnit) {
    EXPECT_EQ(describe_duration(0ms), "0 s");
    EXPECT_EQ(describe_duration(59s), "59 s");
    EXPECT_EQ(describe_duration(60s), "1 min");
    EXPECT_EQ(describe_duration(3h), "3 h");
    EXPECT_EQ(describe_duration(47h), "47 h");
    EXPECT_EQ(describe_duration(std::chrono::days(700)), "700 days");
}

TEST(DescribeDuration, RoundsToTheNearestOne) {
    EXPECT_EQ(describe_duration(1'500ms), "2 s");
    EXPECT_EQ(describe_duration(59'999ms), "1 min");
    EXPECT_EQ(describe_duration(59min + 59s), "1 h");
    EXPECT_EQ(describe_duration(3h - 10ms), "3 h");
    EXPECT_EQ(describe_duration(3h + 29min), "3 h");
    EXPECT_EQ(describe_duration(48h - 1s), "2 days");
}

TEST(DescribeDuration, DropsTheSign) {
    EXPECT_EQ(describe_duration(-3h), "3 h");
}

} // namespace
} // namespace waggle

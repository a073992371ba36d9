#include "trigger/eval/cost.hpp"

#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

TEST(CostLine, UsesItsAssumptionsBeforeAnyObservation) {
    const CostLine line(400, 200);
    EXPECT_FALSE(line.knows_anything());
    EXPECT_EQ(line.expected(1), 600);
    EXPECT_EQ(line.at_most(3), 1000);
}

TEST(CostLine, LearnsProcessAndNodeCostsFromTwoSizes) {
    CostLine line(400, 200);
    line.observe(1, 550);
    line.observe(2, 600);
    EXPECT_TRUE(line.knows_anything());
    EXPECT_NEAR(line.expected(8), 500 + 8 * 50, 1e-6);
}

TEST(CostLine, KeepsTheProportionIfAllHadOneSize) {
    CostLine line(400, 200);
    line.observe(1, 300);
    EXPECT_NEAR(line.expected(1), 300, 1e-6);
    EXPECT_NEAR(line.expected(2), 400, 1e-6);
}

TEST(CostLine, ANodeNeverCostsNothing) {
    CostLine line(400, 200);
    line.observe(1, 600);
    line.observe(2, 590);
    EXPECT_GT(line.expected(9), line.expected(1) + 8 * 20);
}

TEST(CostLine, AtMostCoversEveryObservation) {
    CostLine line(400, 200);
    const std::pair<size_t, double> observed[] = {{1, 578}, {2, 906}, {4, 1032}, {8, 1665}, {16, 1680}};
    for (const auto& [nodes, cost] : observed)
        line.observe(nodes, cost);
    for (const auto& [nodes, cost] : observed)
        EXPECT_GE(line.at_most(nodes), cost - 1e-6) << nodes;
}

} // namespace
} // namespace waggle::trigger

#include "shared/base/error.hpp"
#include "trigger/command/evaluation_limits.hpp"

#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

TEST(EvaluationLimits, SuitThisMachineByDefault) {
    const EvaluationLimits limits = evaluation_limits({});
    EXPECT_GE(limits.workers, 1u);
    EXPECT_GT(limits.memory_bytes, 0);
    EXPECT_FALSE(limits.per_chunk);
}

TEST(EvaluationLimits, AreThoseOfTheCommandLine) {
    SelectOptions options;
    options.eval_node_limit = "7";
    options.eval_memory = "2G";
    options.eval_workers = 3;
    const EvaluationLimits limits = evaluation_limits(options);
    EXPECT_EQ(limits.workers, 3u);
    EXPECT_EQ(limits.memory_bytes, 2.0 * (1 << 30));
    EXPECT_EQ(limits.per_chunk, 7u);
}

TEST(EvaluationLimits, RefuseWhatIsNoNumberOfNodes) {
    for (const char* text : {"", "many", "-1", "7x"}) {
        SelectOptions options;
        options.eval_node_limit = text;
        EXPECT_THROW(evaluation_limits(options), Error) << text;
    }
}

} // namespace
} // namespace waggle::trigger

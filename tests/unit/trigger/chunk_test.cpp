#include "trigger/hive/chunk.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace waggle::trigger {
namespace {

using protocol::Json;
using testing::ElementsAre;
using testing::Key;
using testing::Pair;

constexpr std::uint64_t gib = 1 << 30;

TEST(ChunkLimit, FollowsTheAvailableMemory) {
    EXPECT_EQ(automatic_chunk_limit(std::nullopt), 10u);
    EXPECT_EQ(automatic_chunk_limit(16 * gib), 30u);
    EXPECT_EQ(automatic_chunk_limit(8 * gib), 14u);
    EXPECT_EQ(automatic_chunk_limit(4 * gib), 6u);
    EXPECT_EQ(automatic_chunk_limit(gib / 10), 1u);
    EXPECT_EQ(automatic_chunk_limit(0), 1u);
}

TEST(ChunkLimit, ThisMachineSaysHowMuchItHas) {
    const auto available = available_memory_bytes();
    ASSERT_TRUE(available);
    EXPECT_GT(*available, 16u << 20);
}

TEST(PlanChunks, CutsIntoNearlyEqualChunksInOrder) {
    const std::vector<std::string> names = {"a", "b", "c", "d", "e"};
    EXPECT_THAT(plan_chunks(names, 0), ElementsAre(ElementsAre("a", "b", "c", "d", "e")));
    EXPECT_THAT(plan_chunks(names, 5), ElementsAre(ElementsAre("a", "b", "c", "d", "e")));
    EXPECT_THAT(plan_chunks(names, 4), ElementsAre(ElementsAre("a", "b"), ElementsAre("c", "d", "e")));
    EXPECT_THAT(plan_chunks(names, 2), ElementsAre(ElementsAre("a"), ElementsAre("b", "c"), ElementsAre("d", "e")));
    EXPECT_THAT(plan_chunks(names, 1).size(), 5u);
    EXPECT_TRUE(plan_chunks({}, 3).empty());
}

TEST(PlanChunks, NoChunkIsLargerThanTheLimit) {
    std::vector<std::string> names;
    for (int i = 0; i < 97; ++i)
        names.push_back(std::to_string(i));
    for (size_t limit = 1; limit < 100; ++limit) {
        size_t total = 0;
        for (const auto& chunk : plan_chunks(names, limit)) {
            EXPECT_LE(chunk.size(), limit);
            EXPECT_GE(chunk.size(), 1u);
            total += chunk.size();
        }
        EXPECT_EQ(total, names.size());
    }
}

// Fails for any chunk that holds a broken node, as Nix does.
class FakeEvaluator {
public:
    explicit FakeEvaluator(std::set<std::string> broken) : broken_(std::move(broken)) {}

    Json operator()(std::span<const std::string> names) {
        ++calls;
        Json answer = Json::object();
        for (const std::string& name : names) {
            if (broken_.contains(name))
                throw EvaluationError(name + " is broken");
            answer[name] = name;
        }
        return answer;
    }

    int calls = 0;

private:
    std::set<std::string> broken_;
};

TEST(EvaluateHalving, OneCallWhereNothingIsBroken) {
    FakeEvaluator evaluator({});
    ChunkResult result;
    evaluate_halving(std::vector<std::string>{"a", "b", "c"}, std::ref(evaluator), result);
    EXPECT_THAT(result.nodes, ElementsAre(Key("a"), Key("b"), Key("c")));
    EXPECT_EQ(evaluator.calls, 1);
}

TEST(EvaluateHalving, TheBrokenNodeFailsAloneWithItsOwnError) {
    FakeEvaluator evaluator({"b", "g"});
    ChunkResult result;
    evaluate_halving(std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g"}, std::ref(evaluator), result);
    EXPECT_THAT(result.nodes, ElementsAre(Key("a"), Key("c"), Key("d"), Key("e"), Key("f")));
    EXPECT_THAT(result.failures, ElementsAre(Pair("b", "b is broken"), Pair("g", "g is broken")));
}

TEST(EvaluateHalving, AnswersForEveryNode) {
    ChunkResult result;
    EXPECT_THROW(
        evaluate_halving(std::vector<std::string>{"a", "b"}, [](auto) { return Json{{"a", 1}}; }, result), Error);
}

} // namespace
} // namespace waggle::trigger

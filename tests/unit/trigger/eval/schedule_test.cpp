#include "trigger/eval/schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace waggle::trigger {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Le;
using Names = std::vector<std::string>;

constexpr double mib = 1 << 20;
constexpr double gib = 1 << 30;

Names some_names(size_t count) {
    Names names;
    for (size_t i = 0; i < count; ++i)
        names.push_back(std::string(i < 10 ? "0" : "") + std::to_string(i));
    return names;
}

// Simulates evaluators and a clock: a process takes the time and the memory that the fleet specifies.
class FakeFleet {
public:
    FakeFleet(Names names, EvaluationLimits limits) : limits_(limits), schedule_(std::move(names), limits) {}

    std::function<double(size_t)> memory_of = [](size_t nodes) {
        return 500 * mib + static_cast<double>(nodes) * 75 * mib;
    };
    double process_seconds = 0.5;
    double node_seconds = 2.3;
    std::set<std::string> broken;
    std::function<bool(const Chunk&)> dies = [](const Chunk&) { return false; };

    // The results.
    std::vector<Names> chunks;
    Names answers;
    Names failures;
    double wall = 0;
    double peak = 0;
    size_t most_side_by_side = 0;
    size_t evaluations = 0; // of nodes

    void run() {
        while (!schedule_.done()) {
            while (std::optional<Chunk> chunk = schedule_.next())
                start(std::move(*chunk));
            ASSERT_FALSE(running_.empty()) << "nothing runs, and something is left to do";
            ASSERT_LT(chunks.size(), 1000u);
            most_side_by_side = std::max(most_side_by_side, running_.size());
            double memory = 0;
            for (const auto& process : running_)
                memory += memory_of(process.chunk.names.size());
            peak = std::max(peak, memory);
            end_the_next();
        }
        std::sort(answers.begin(), answers.end());
    }

private:
    struct Process {
        Chunk chunk;
        double began;
        double ends;
    };

    void start(Chunk chunk) {
        chunks.push_back(chunk.names);
        const double seconds = process_seconds + node_seconds * static_cast<double>(chunk.names.size());
        running_.push_back({std::move(chunk), wall, wall + seconds});
    }

    void end_the_next() {
        const auto next =
            std::min_element(running_.begin(), running_.end(), [](auto& a, auto& b) { return a.ends < b.ends; });
        const Process process = std::move(*next);
        running_.erase(next);
        wall = process.ends;
        ChunkEnd end = dies(process.chunk) ? ChunkEnd::killed : ChunkEnd::complete;
        for (const std::string& name : process.chunk.names) {
            if (end == ChunkEnd::killed)
                break;
            ++evaluations;
            if (broken.contains(name)) {
                end = ChunkEnd::failed;
                break;
            }
            schedule_.answered(process.chunk.id, name);
            answers.push_back(name);
        }
        const auto failed = schedule_.ended(
            process.chunk.id, end,
            {.peak_bytes = memory_of(process.chunk.names.size()), .seconds = process.ends - process.began});
        if (failed)
            failures.push_back(*failed);
    }

    EvaluationLimits limits_;
    Schedule schedule_;
    std::vector<Process> running_;
};

TEST(Schedule, EvaluatesEveryNodeOnceWithAllWorkersBusy) {
    FakeFleet fleet(some_names(16), {.workers = 2, .memory_bytes = 18 * gib, .per_chunk = {}});
    fleet.run();
    EXPECT_EQ(fleet.answers, some_names(16));
    EXPECT_EQ(fleet.evaluations, 16u);
    EXPECT_EQ(fleet.most_side_by_side, 2u);
    const double one_process = 0.5 + 16 * 2.3;
    EXPECT_LT(fleet.wall, 0.53 * one_process);
}

TEST(Schedule, LearnsFromSmallChunksFirst) {
    FakeFleet fleet(some_names(40), {.workers = 2, .memory_bytes = 18 * gib, .per_chunk = {}});
    fleet.run();
    ASSERT_GE(fleet.chunks.size(), 4u);
    EXPECT_EQ(fleet.chunks[0].size() + fleet.chunks[1].size(), 3u);
    EXPECT_GE(fleet.chunks[2].size(), 4u);
}

TEST(Schedule, AFewNodesAreStartedAllAtOnce) {
    FakeFleet fleet(some_names(4), {.workers = 8, .memory_bytes = 18 * gib, .per_chunk = {}});
    fleet.run();
    EXPECT_EQ(fleet.most_side_by_side, 4u);
}

TEST(Schedule, KeepsTheBudget) {
    for (const double budget : {1.4 * gib, 2 * gib, 3 * gib, 6 * gib}) {
        FakeFleet fleet(some_names(16), {.workers = 4, .memory_bytes = budget, .per_chunk = {}});
        fleet.run();
        EXPECT_EQ(fleet.answers.size(), 16u);
        EXPECT_LE(fleet.peak, budget);
    }
}

TEST(Schedule, EvaluatesOneByOneIfTheBudgetIsTooSmallForANode) {
    FakeFleet fleet(some_names(5), {.workers = 4, .memory_bytes = 100 * mib, .per_chunk = {}});
    fleet.run();
    EXPECT_EQ(fleet.answers.size(), 5u);
    EXPECT_EQ(fleet.most_side_by_side, 1u);
    EXPECT_THAT(fleet.chunks, Each(testing::SizeIs(1)));
}

TEST(Schedule, PrefersSeveralSmallWorkersToOneLargeWorker) {
    FakeFleet fleet(some_names(16), {.workers = 2, .memory_bytes = 1.5 * gib, .per_chunk = {}});
    fleet.run();
    EXPECT_EQ(fleet.most_side_by_side, 2u);
    EXPECT_LE(fleet.peak, 1.5 * gib);
}

TEST(Schedule, NodesThatNeedMoreThanAssumedGetSmallerChunks) {
    FakeFleet fleet(some_names(16), {.workers = 2, .memory_bytes = 6 * gib, .per_chunk = {}});
    fleet.memory_of = [](size_t nodes) { return 500 * mib + static_cast<double>(nodes) * 1000 * mib; };
    fleet.run();
    EXPECT_EQ(fleet.answers.size(), 16u);
    EXPECT_LE(fleet.peak, 6 * gib);
}

TEST(Schedule, AGivenChunkSizeMakesNearlyEqualChunks) {
    const EvaluationLimits limits{.workers = 1, .memory_bytes = 18 * gib, .per_chunk = 4};
    FakeFleet fleet(some_names(5), limits);
    fleet.run();
    EXPECT_THAT(fleet.chunks, ElementsAre(ElementsAre("00", "01", "02"), ElementsAre("03", "04")));
}

TEST(Schedule, AChunkSizeOfZeroMeansOneProcess) {
    FakeFleet fleet(some_names(30), {.workers = 4, .memory_bytes = 1 * gib, .per_chunk = 0});
    fleet.run();
    EXPECT_EQ(fleet.chunks.size(), 1u);
}

TEST(Schedule, ABrokenNodeFailsAloneAndNothingElseIsEvaluatedTwice) {
    for (const char* name : {"00", "03", "07", "15"}) {
        FakeFleet fleet(some_names(16), {.workers = 2, .memory_bytes = 18 * gib, .per_chunk = {}});
        fleet.broken = {name};
        fleet.run();
        EXPECT_THAT(fleet.failures, ElementsAre(name));
        EXPECT_EQ(fleet.answers.size(), 15u);
        EXPECT_EQ(fleet.evaluations, 16u) << name;
    }
}

TEST(Schedule, AllBrokenNodesFail) {
    FakeFleet fleet(some_names(20), {.workers = 3, .memory_bytes = 18 * gib, .per_chunk = 0});
    for (const std::string& name : some_names(20))
        fleet.broken.insert(name);
    fleet.run();
    EXPECT_EQ(fleet.failures.size(), 20u);
    EXPECT_EQ(fleet.evaluations, 20u);
}

TEST(Schedule, AKilledProcessIsRetriedInSmallerChunks) {
    FakeFleet fleet(some_names(16), {.workers = 2, .memory_bytes = 18 * gib, .per_chunk = 8});
    bool killed = false;
    fleet.dies = [&](const Chunk& chunk) { return chunk.names.front() == "00" && !std::exchange(killed, true); };
    fleet.run();
    EXPECT_EQ(fleet.answers, some_names(16));
    EXPECT_THAT(fleet.failures, IsEmpty());
    ASSERT_GE(fleet.chunks.size(), 4u);
    EXPECT_EQ(fleet.chunks[0].size(), 8u);
    EXPECT_THAT(fleet.chunks[2], ElementsAre("00", "01", "02", "03")); // half of it
}

TEST(Schedule, AnsweredNodesAreNotEvaluatedAgainAfterAKill) {
    Schedule schedule(some_names(8), {.workers = 1, .memory_bytes = 18 * gib, .per_chunk = 0});
    const Chunk first = schedule.next().value();
    schedule.answered(first.id, "00");
    schedule.answered(first.id, "01");
    EXPECT_FALSE(schedule.ended(first.id, ChunkEnd::killed, {.peak_bytes = 1 * gib, .seconds = 1}));
    EXPECT_THAT(schedule.next()->names, ElementsAre("02", "03", "04", "05"));
}

TEST(Schedule, OnlyANodeWhoseProcessAlwaysDiesFails) {
    FakeFleet fleet(some_names(16), {.workers = 2, .memory_bytes = 18 * gib, .per_chunk = {}});
    fleet.dies = [](const Chunk& chunk) { return std::count(chunk.names.begin(), chunk.names.end(), "05") > 0; };
    fleet.run();
    EXPECT_THAT(fleet.failures, ElementsAre("05"));
    EXPECT_EQ(fleet.answers.size(), 15u);
    EXPECT_EQ(std::count(fleet.chunks.begin(), fleet.chunks.end(), Names{"05"}), 3);
}

TEST(Schedule, AKilledProcessRaisesTheMemoryEstimate) {
    Schedule schedule(some_names(8), {.workers = 1, .memory_bytes = 18 * gib, .per_chunk = 4});
    const double before = schedule.memory_of(4);
    const Chunk chunk = schedule.next().value();
    schedule.ended(chunk.id, ChunkEnd::killed, {.peak_bytes = 3 * gib, .seconds = 1});
    EXPECT_GE(schedule.memory_of(4), 3 * gib);
    EXPECT_GT(schedule.memory_of(4), before);
}

TEST(Schedule, StopsTheYoungestProcessAboveTheBudget) {
    Schedule schedule(some_names(8), {.workers = 2, .memory_bytes = 2 * gib, .per_chunk = {}});
    const Chunk first = schedule.next().value();
    const Chunk second = schedule.next().value();
    EXPECT_FALSE(schedule.one_too_many({{first.id, 1 * gib}, {second.id, 0.89 * gib}}));
    EXPECT_EQ(schedule.one_too_many({{first.id, 1 * gib}, {second.id, 1.1 * gib}}), second.id);
    // A single process with a single node may continue.
    schedule.ended(second.id, ChunkEnd::over_budget, {.peak_bytes = 1.1 * gib, .seconds = 1});
    if (first.names.size() == 1) {
        EXPECT_FALSE(schedule.one_too_many({{first.id, 5 * gib}}));
    }
}

// The processes grow between two checks, and until the stopped one has exited.
TEST(Schedule, StopsTheYoungestProcessBeforeTheBudgetIsUsedUp) {
    Schedule schedule(some_names(8), {.workers = 2, .memory_bytes = 1.5 * gib, .per_chunk = {}});
    const Chunk first = schedule.next().value();
    const Chunk second = schedule.next().value();
    EXPECT_EQ(schedule.one_too_many({{first.id, 0.75 * gib}, {second.id, 0.7 * gib}}), second.id);
    EXPECT_LE(schedule.memory_of(first.names.size()) + schedule.memory_of(second.names.size()), 1.5 * gib);
}

TEST(Schedule, CollectorsBeginWithALargeHeapIfMemoryAllows) {
    const auto heap = [](size_t workers, double bytes) {
        return first_heap_bytes({.workers = workers, .memory_bytes = bytes, .per_chunk = {}});
    };
    EXPECT_EQ(heap(2, 18 * gib), std::uint64_t{2} << 30);
    EXPECT_EQ(heap(4, 18 * gib), std::uint64_t{3} << 29);
    EXPECT_EQ(heap(2, 1.5 * gib), std::nullopt);
    EXPECT_EQ(heap(16, 18 * gib), std::nullopt);
}

TEST(FirstHeap, FitsTheMemoryLimitOfAProcess) {
    const auto heap = [](double process_bytes) {
        return first_heap_bytes(
            {.workers = 2, .memory_bytes = 18 * gib, .process_bytes = process_bytes, .per_chunk = {}});
    };
    EXPECT_EQ(heap(1.5 * gib), std::nullopt);
    EXPECT_EQ(heap(4.5 * gib), std::uint64_t{3} << 29);
    EXPECT_EQ(heap(100 * gib), std::uint64_t{2} << 30);
}

TEST(Schedule, GivesAProcessNoMoreNodesThanItsMemoryLimitAllows) {
    std::vector<std::string> names;
    for (int i = 0; i < 8; ++i)
        names.push_back(std::to_string(i));
    Schedule schedule(names, {.workers = 1, .memory_bytes = 100 * gib, .process_bytes = 1 * gib, .per_chunk = {}});
    while (auto chunk = schedule.next()) {
        EXPECT_LE(schedule.memory_of(chunk->names.size()), 1 * gib);
        for (const std::string& name : chunk->names)
            schedule.answered(chunk->id, name);
        const double nodes = static_cast<double>(chunk->names.size());
        schedule.ended(chunk->id, ChunkEnd::complete,
                       {.peak_bytes = (400 + 200 * nodes) * (1 << 20), .seconds = 2 * nodes});
    }
    EXPECT_TRUE(schedule.done());
}

TEST(Schedule, ANodeStoppedForTheBudgetIsAlwaysRetried) {
    Schedule schedule(some_names(1), {.workers = 2, .memory_bytes = 1 * gib, .per_chunk = {}});
    for (int i = 0; i < 10; ++i) {
        const std::optional<Chunk> chunk = schedule.next();
        ASSERT_TRUE(chunk);
        EXPECT_FALSE(schedule.ended(chunk->id, ChunkEnd::over_budget, {.peak_bytes = 2 * gib, .seconds = 1}));
    }
}

TEST(Schedule, IsDeterministic) {
    const auto chunks = [] {
        FakeFleet fleet(some_names(37), {.workers = 3, .memory_bytes = 5 * gib, .per_chunk = {}});
        fleet.broken = {"11", "20"};
        fleet.run();
        return fleet.chunks;
    };
    EXPECT_EQ(chunks(), chunks());
}

TEST(Schedule, WithoutNodesIsDone) {
    Schedule schedule({}, {.workers = 2, .memory_bytes = 1 * gib, .per_chunk = {}});
    EXPECT_TRUE(schedule.done());
    EXPECT_FALSE(schedule.next());
}

} // namespace
} // namespace waggle::trigger

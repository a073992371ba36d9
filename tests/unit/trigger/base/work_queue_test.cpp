#include "trigger/base/work_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>

namespace waggle::trigger {
namespace {

TEST(WorkQueue, FinishesAllWorkBeforeItIsDestroyed) {
    std::atomic<int> done = 0;
    {
        WorkQueue queue(3);
        for (int i = 0; i < 100; ++i)
            queue.add([&] { ++done; });
    }
    EXPECT_EQ(done, 100);
}

TEST(WorkQueue, RunsInParallelUpToItsLimit) {
    std::latch both(2); // each waits until the other has begun
    std::atomic<int> working = 0, most = 0;
    WorkQueue queue(2);
    for (int i = 0; i < 2; ++i)
        queue.add([&] { both.arrive_and_wait(); });
    for (int i = 0; i < 50; ++i)
        queue.add([&] {
            const int now = ++working;
            for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
            }
            --working;
        });
    queue.finish();
    EXPECT_LE(most, 2);
}

TEST(WorkQueue, RunsEverythingAtOnceWithoutALimit) {
    std::latch all(20);
    WorkQueue queue(0);
    for (int i = 0; i < 20; ++i)
        queue.add([&] { all.arrive_and_wait(); });
    queue.finish();
}

TEST(WorkQueue, WorkMayAddMore) {
    std::atomic<int> done = 0;
    WorkQueue queue(1);
    queue.add([&] { queue.add([&] { ++done; }); });
    queue.finish();
    EXPECT_EQ(done, 1);
}

TEST(WorkQueue, WithOneThreadItKeepsTheOrder) {
    std::vector<int> order;
    WorkQueue queue(1);
    for (int i = 0; i < 20; ++i)
        queue.add([&, i] { order.push_back(i); });
    queue.finish();
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
    EXPECT_EQ(order.size(), 20u);
}

} // namespace
} // namespace waggle::trigger

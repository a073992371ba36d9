#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace waggle::trigger {

// Runs work in the order in which it is added, on at most `parallel` threads (0: as many as there is work). The work
// must not throw, and may add more work.
class WorkQueue {
public:
    explicit WorkQueue(size_t parallel) : parallel_(parallel) {}
    WorkQueue(const WorkQueue&) = delete;
    WorkQueue& operator=(const WorkQueue&) = delete;
    ~WorkQueue() { finish(); }

    void add(std::function<void()> work);
    // Returns when all work is done.
    void finish();

private:
    void take_turns();

    const size_t parallel_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> waiting_;
    size_t working_ = 0;
    size_t idle_ = 0;
    bool over_ = false;
    std::vector<std::thread> threads_;
};

// Calls `work` with 0 … count-1 from at most `parallel` threads (0: one per call), and returns when all calls are done.
// `work` must not throw.
void in_parallel(size_t count, size_t parallel, const std::function<void(size_t)>& work);

} // namespace waggle::trigger

#include "trigger/base/work_queue.hpp"

#include <utility>

namespace waggle::trigger {

void WorkQueue::add(std::function<void()> work) {
    const std::scoped_lock lock(mutex_);
    waiting_.push_back(std::move(work));
    if (idle_ < waiting_.size() && (parallel_ == 0 || threads_.size() < parallel_))
        threads_.emplace_back([this] { take_turns(); });
    changed_.notify_all();
}

void WorkQueue::take_turns() {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        changed_.wait(lock, [this] { return over_ || !waiting_.empty(); });
        --idle_;
        if (waiting_.empty())
            return;
        const std::function<void()> work = std::move(waiting_.front());
        waiting_.pop_front();
        ++working_;
        lock.unlock();
        work();
        lock.lock();
        --working_;
        changed_.notify_all();
    }
}

void WorkQueue::finish() {
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return waiting_.empty() && working_ == 0; });
        over_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_)
        thread.join();
    threads_.clear();
}

void in_parallel(size_t count, size_t parallel, const std::function<void(size_t)>& work) {
    std::atomic<size_t> next = 0;
    const auto take_turns = [&] {
        for (size_t i = next++; i < count; i = next++)
            work(i);
    };
    std::vector<std::thread> threads;
    const size_t thread_count = parallel == 0 ? count : std::min(parallel, count);
    for (size_t i = 0; i < thread_count; ++i)
        threads.emplace_back(take_turns);
    for (std::thread& thread : threads)
        thread.join();
}

} // namespace waggle::trigger

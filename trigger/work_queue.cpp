#include "trigger/work_queue.hpp"

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

} // namespace waggle::trigger

#include "agent/daemon/event_log.hpp"

#include <utility>

namespace waggle::agent {

namespace {

constexpr std::string_view cut_mark = " […]";

} // namespace

void EventLog::add(protocol::Event event) {
    if (event.text.size() > max_text_bytes) {
        event.text.resize(max_text_bytes - cut_mark.size());
        event.text += cut_mark;
    }
    {
        const std::lock_guard lock(mutex_);
        if (result_)
            return;
        event.number = ++last_number_;
        bytes_ += event.text.size();
        events_.push_back(std::move(event));
        while (events_.size() > max_events || bytes_ > max_bytes) {
            bytes_ -= events_.front().text.size();
            events_.pop_front();
        }
    }
    changed_.notify_all();
}

void EventLog::end(protocol::Result result) {
    {
        const std::lock_guard lock(mutex_);
        if (result_)
            return;
        result_ = std::move(result);
    }
    changed_.notify_all();
}

bool EventLog::ended() const {
    const std::lock_guard lock(mutex_);
    return result_.has_value();
}

bool EventLog::await_end(Deadline deadline) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, deadline, [&] { return result_.has_value(); });
}

std::optional<EventLog::Item> EventLog::next(std::uint64_t after, std::stop_token stop) const {
    std::unique_lock lock(mutex_);
    if (after > last_number_)
        after = 0;
    changed_.wait(lock, stop, [&] { return last_number_ > after || result_; });
    if (stop.stop_requested())
        return std::nullopt;
    if (last_number_ > after && !events_.empty()) {
        const auto first = events_.front().number;
        return events_[after < first ? 0 : static_cast<size_t>(after - first + 1)];
    }
    return *result_;
}

} // namespace waggle::agent

#pragma once

#include "shared/base/time.hpp"
#include "shared/protocol/messages.hpp"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>

namespace waggle::agent {

// What happened in one deployment's life, numbered from 1: sessions come and go and read on where they were.
// The oldest events are dropped beyond a bound. Safe to use from several threads.
class EventLog {
public:
    static constexpr size_t max_events = 2000;
    static constexpr size_t max_bytes = 1 << 20;      // of text
    static constexpr size_t max_text_bytes = 4 << 10; // of one event; the rest is cut

    // Numbers the event and cuts its text.
    void add(protocol::Event event);
    // The last word; later events are ignored.
    void end(protocol::Result result);
    bool ended() const;
    // Waits for the last word; whether it was said in time.
    bool await_end(Deadline deadline) const;

    // The first kept event after number `after`, or, when there is none and there will be none, the result. Waits for
    // it; nullopt when `stop` is requested first. A number that this log never gave (an agent before this one did)
    // counts as 0.
    using Item = std::variant<protocol::Event, protocol::Result>;
    std::optional<Item> next(std::uint64_t after, std::stop_token stop) const;

private:
    mutable std::mutex mutex_;
    mutable std::condition_variable_any changed_;
    std::deque<protocol::Event> events_;
    size_t bytes_ = 0;
    std::uint64_t last_number_ = 0;
    std::optional<protocol::Result> result_;
};

} // namespace waggle::agent

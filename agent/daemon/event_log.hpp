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

// The events of one deployment, numbered from 1, so that a session can continue where an earlier one stopped.
// Drops the oldest events beyond a bound. Safe to use from several threads.
class EventLog {
public:
    static constexpr size_t max_events = 2000;
    static constexpr size_t max_bytes = 1 << 20;      // of text
    static constexpr size_t max_text_bytes = 4 << 10; // of one event; cuts the rest

    // Numbers the event and limits its text.
    void add(protocol::Event event);
    // Adds the result; ignores later events.
    void end(protocol::Result result);
    bool ended() const;
    // Waits for the result; returns whether it came in time.
    bool await_end(Deadline deadline) const;

    // Waits for the first kept event after number `after`, or for the result if no event will follow. Returns nullopt
    // if `stop` is requested first. A number that this log never assigned (an earlier agent process did) counts as 0.
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

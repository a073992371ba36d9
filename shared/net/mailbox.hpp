#pragma once

#include "shared/base/time.hpp"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace waggle::net {

// Passes the messages of one connection between the threads that block on them and the I/O thread. Both queues are
// bounded: a full one blocks the sender, or makes the I/O thread stop reading, and then TCP blocks the peer.
class Mailbox {
public:
    // A request to the I/O thread. It is made with the mailbox locked, so the function must only pass it on.
    enum class Task { read, write, close };

    static constexpr size_t max_queued_messages = 16;   // in each direction
    static constexpr size_t max_queued_bytes = 1 << 20; // one more message may be on top of these

    explicit Mailbox(std::function<void(Task)> ask) : ask_(std::move(ask)) {}

    // For callers, with the promises of Connection.
    void send(std::string message, Deadline deadline);
    std::optional<std::string> receive(Deadline deadline);
    void finish(Deadline deadline) noexcept;
    void abort() noexcept;

    // For the I/O thread, which begins by reading. Returns false if the queue is full: stop reading until Task::read,
    // which comes when there is room again.
    bool deliver(std::string message);
    bool reading() const; // not stopped by deliver
    struct Next {
        std::optional<std::string> message; // to be written
        bool close = false;                 // nothing is left: close gracefully
    };
    // Returns neither if there is nothing to write: stop writing until Task::write comes.
    Next next();
    void end_orderly();              // the peer has closed, or agreed to close
    void lose(std::string_view why); // a sentence

private:
    struct Queue {
        std::deque<std::string> messages;
        size_t bytes = 0;

        bool full() const { return messages.size() >= max_queued_messages || bytes >= max_queued_bytes; }
        bool half_empty() const { return messages.size() <= max_queued_messages / 2 && bytes <= max_queued_bytes / 2; }
        void push(std::string message);
        std::string pop();
        void clear();
    };
    enum class State { open, closed, lost };

    bool ended() const { return state_ != State::open; }
    void end(State state, std::string_view why); // requires the mutex
    [[noreturn]] void throw_lost() const;

    const std::function<void(Task)> ask_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    Queue incoming_;
    Queue outgoing_;
    bool reading_ = true;
    bool writing_ = false;
    bool finishing_ = false;
    State state_ = State::open;
    std::string why_;
};

} // namespace waggle::net

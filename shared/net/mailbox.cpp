#include "shared/net/mailbox.hpp"

#include "shared/net/connection.hpp"

#include <utility>

namespace waggle::net {

void Mailbox::Queue::push(std::string message) {
    bytes += message.size();
    messages.push_back(std::move(message));
}

std::string Mailbox::Queue::pop() {
    std::string message = std::move(messages.front());
    messages.pop_front();
    bytes -= message.size();
    return message;
}

void Mailbox::Queue::clear() {
    std::deque<std::string>().swap(messages);
    bytes = 0;
}

void Mailbox::send(std::string message, Deadline deadline) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, deadline, [&] { return ended() || finishing_ || !outgoing_.full(); }))
        throw TimedOut("the peer does not read what is sent to it");
    if (ended() || finishing_)
        throw_lost();
    outgoing_.push(std::move(message));
    if (!std::exchange(writing_, true))
        ask_(Task::write);
}

std::optional<std::string> Mailbox::receive(Deadline deadline) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, deadline, [&] { return ended() || !incoming_.messages.empty(); }))
        throw TimedOut("the peer sent nothing");
    if (incoming_.messages.empty()) {
        if (state_ == State::lost)
            throw_lost();
        return std::nullopt;
    }
    std::string message = incoming_.pop();
    if (!reading_ && !ended() && incoming_.half_empty()) {
        reading_ = true;
        ask_(Task::read);
    }
    return message;
}

void Mailbox::finish(Deadline deadline) noexcept {
    {
        std::unique_lock lock(mutex_);
        if (!ended()) {
            finishing_ = true;
            if (!std::exchange(writing_, true))
                ask_(Task::write);
            changed_.wait_until(lock, deadline, [&] { return ended(); });
        }
    }
    abort();
}

void Mailbox::abort() noexcept {
    std::lock_guard guard(mutex_);
    incoming_.clear();
    if (ended())
        return;
    end(State::lost, "this side has aborted the connection");
    ask_(Task::close);
}

bool Mailbox::deliver(std::string message) {
    std::lock_guard guard(mutex_);
    if (ended())
        return false;
    incoming_.push(std::move(message));
    reading_ = !incoming_.full();
    changed_.notify_all();
    return reading_;
}

bool Mailbox::reading() const {
    std::lock_guard guard(mutex_);
    return reading_;
}

Mailbox::Next Mailbox::next() {
    std::lock_guard guard(mutex_);
    if (ended())
        return {};
    if (outgoing_.messages.empty()) {
        writing_ = finishing_;
        return {std::nullopt, finishing_};
    }
    Next next{outgoing_.pop(), false};
    changed_.notify_all();
    return next;
}

void Mailbox::end_orderly() {
    std::lock_guard guard(mutex_);
    end(State::closed, "the peer has closed the connection");
}

void Mailbox::lose(std::string_view why) {
    std::lock_guard guard(mutex_);
    end(State::lost, why);
}

void Mailbox::end(State state, std::string_view why) {
    if (ended())
        return;
    state_ = state;
    why_ = why;
    outgoing_.clear();
    changed_.notify_all();
}

void Mailbox::throw_lost() const {
    throw ConnectionLost(why_.empty() ? "this side has closed the connection" : why_);
}

} // namespace waggle::net

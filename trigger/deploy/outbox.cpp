#include "trigger/deploy/outbox.hpp"

#include "shared/protocol/messages.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace waggle::trigger {

namespace {

constexpr auto send_time = std::chrono::seconds(120);  // per message; a node that takes longer has stalled
constexpr auto parting_time = std::chrono::seconds(1); // for the message or piece that is being sent at the end

// Ends the reading of a NAR of which the rest is not needed.
class Stopped : public Error {
public:
    Stopped() : Error("stopped") {}
};

} // namespace

Outbox::Outbox(net::Connection& connection, const protocol::ClosureList& list, ReadNar read_nar, TimesWanted& times)
    : connection_(connection), list_(list), read_nar_(std::move(read_nar)), times_(times), wanted_here_(list.size()),
      thread_([this] { run(); }) {
    times_.of_each.resize(list.size());
}

Outbox::~Outbox() {
    bool in_the_middle = false;
    {
        std::unique_lock lock(mutex_);
        stop_ = true;
        wake_.notify_one();
        // The answer to a message may arrive before the sending thread knows that the message is sent.
        in_the_middle = !rest_.wait_for(lock, parting_time, [this] { return !busy_; });
    }
    if (in_the_middle)
        connection_.abort();
    thread_.join();
}

void Outbox::say(std::string message) {
    {
        const std::scoped_lock lock(mutex_);
        messages_.push_back(std::move(message));
    }
    wake_.notify_one();
}

void Outbox::serve(const std::vector<std::uint32_t>& indices) {
    {
        const std::scoped_lock lock(mutex_);
        if (stop_serving_)
            return;
        for (const std::uint32_t index : indices) {
            if (index >= list_.size())
                throw protocol::BadDocument(
                    fmt::format("the node asked for path {} of a closure list with {} paths; nothing else is served",
                                index, list_.size()));
            if (wanted_here_[index] || times_.of_each[index] >= times_.most)
                throw protocol::BadDocument(
                    fmt::format("the node asked for {} more than once, and each path is sent only once",
                                list_[index].path.absolute()));
            wanted_here_[index] = true;
            ++times_.of_each[index];
        }
        wanted_.insert(wanted_.end(), indices.begin(), indices.end());
    }
    wake_.notify_one();
}

void Outbox::stop_serving() {
    const std::scoped_lock lock(mutex_);
    stop_serving_ = true;
    wanted_.clear();
}

bool Outbox::idle() const {
    const std::scoped_lock lock(mutex_);
    return messages_.empty() && wanted_.empty() && !busy_ && !failure_;
}

void Outbox::check() const {
    const std::scoped_lock lock(mutex_);
    if (failure_)
        std::rethrow_exception(failure_);
}

void Outbox::send_messages() {
    for (;;) {
        std::string message;
        {
            const std::scoped_lock lock(mutex_);
            if (messages_.empty() || stop_)
                return;
            message = std::move(messages_.front());
            messages_.pop_front();
        }
        connection_.send(std::move(message), deadline_in(send_time));
    }
}

void Outbox::send_nar(std::uint32_t index) {
    const protocol::ClosureEntry& entry = list_[index];
    std::uint64_t sent = 0;
    std::string piece; // Nix's pieces are small, and one message per piece would be slow
    const auto send_piece = [&] {
        send_messages();
        {
            const std::scoped_lock lock(mutex_);
            if (stop_ || stop_serving_)
                throw Stopped();
        }
        sent += piece.size();
        nar_bytes_sent_ += piece.size(); // before it is sent, because the answer may be faster than this thread
        connection_.send(protocol::encode_nar_piece(index, as_bytes(piece)), deadline_in(send_time));
        piece.clear();
    };
    read_nar_(entry.path, entry.nar_size, [&](std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            const size_t count = std::min(bytes.size(), protocol::data_piece_bytes - piece.size());
            piece += as_text(bytes.first(count));
            bytes = bytes.subspan(count);
            if (piece.size() == protocol::data_piece_bytes)
                send_piece();
        }
    });
    if (!piece.empty())
        send_piece();
    if (sent != entry.nar_size)
        throw Error(fmt::format("{} has {} NAR bytes here, but the store's database says {}: repair it with `nix-store "
                                "--verify --check-contents --repair`",
                                entry.path.absolute(), sent, entry.nar_size));
}

// A path that cannot be read ends the serving, but messages to the agent must still get through.
void Outbox::serve_one(std::uint32_t index) {
    try {
        return send_nar(index);
    } catch (const net::ConnectionLost&) {
        throw;
    } catch (const TimedOut&) {
        throw;
    } catch (const Stopped&) {
        read_nar_ = {}; // its connection to the store is in the middle of a NAR
    } catch (...) {
        const std::scoped_lock lock(mutex_);
        failure_ = std::current_exception();
        stop_serving_ = true;
        wanted_.clear();
    }
}

void Outbox::run() {
    try {
        for (;;) {
            std::optional<std::uint32_t> index;
            {
                std::unique_lock lock(mutex_);
                busy_ = false;
                rest_.notify_one();
                wake_.wait(lock, [this] { return stop_ || !messages_.empty() || !wanted_.empty(); });
                if (stop_)
                    return;
                busy_ = true;
                if (!wanted_.empty()) {
                    index = wanted_.front();
                    wanted_.pop_front();
                }
            }
            send_messages();
            if (index)
                serve_one(*index);
        }
    } catch (...) {
        const std::scoped_lock lock(mutex_);
        failure_ = std::current_exception();
        busy_ = false;
        rest_.notify_one();
    }
}

} // namespace waggle::trigger

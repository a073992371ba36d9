#include "trigger/deploy/outbox.hpp"

#include "shared/base/bytes.hpp"
#include "shared/protocol/messages.hpp"
#include "trigger/deploy/pack_nar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>

namespace waggle::trigger {

namespace {

constexpr auto send_time = std::chrono::seconds(120);  // per message; a node that takes longer has stalled
constexpr auto parting_time = std::chrono::seconds(1); // for the message or piece that is being sent at the end
// How soon a message is sent while a path is being compressed.
constexpr auto production_look = std::chrono::milliseconds(50);
// The highest level for a path that each node's outbox compresses for itself: it takes 4 MiB of memory.
constexpr int modest_level = 3;

// Ends the reading of a NAR of which the rest is not needed.
class Stopped : public Error {
public:
    Stopped() : Error("stopped") {}
};

} // namespace

// Collects bytes to pieces of one size: Nix's and zstd's are small, and one message for each would be slow.
class Outbox::Pieces {
public:
    Pieces(size_t size, std::function<void(std::span<const std::byte>)> send) : size_(size), send_(std::move(send)) {}

    void add(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            const size_t count = std::min(bytes.size(), size_ - piece_.size());
            piece_ += as_text(bytes.first(count));
            bytes = bytes.subspan(count);
            if (piece_.size() == size_)
                flush();
        }
    }
    void flush() {
        if (!piece_.empty())
            send_(as_bytes(piece_));
        piece_.clear();
    }

private:
    const size_t size_;
    const std::function<void(std::span<const std::byte>)> send_;
    std::string piece_;
};

Outbox::Outbox(net::Connection& connection, const protocol::ClosureList& list, NarDelivery delivery, TimesWanted& times,
               LinkSpeed& speed)
    : connection_(connection), list_(list), delivery_(std::move(delivery)), times_(times), speed_(speed),
      wanted_here_(list.size()), thread_([this] { run(); }) {
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
    {
        const std::scoped_lock lock(mutex_);
        stop_serving_ = true;
        wanted_.clear();
    }
    wake_.notify_one(); // it may be waiting for its turn to send
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

void Outbox::make_way() {
    send_messages();
    const std::scoped_lock lock(mutex_);
    if (stop_ || stop_serving_)
        throw Stopped();
}

size_t Outbox::piece_bytes() const {
    return delivery_.upload_limit ? delivery_.upload_limit->piece_bytes() : protocol::data_piece_bytes;
}

void Outbox::await_turn(size_t bytes) {
    if (!delivery_.upload_limit)
        return;
    const auto turn = delivery_.upload_limit->reserve(bytes, std::chrono::steady_clock::now());
    for (bool waiting = true; waiting;) {
        {
            std::unique_lock lock(mutex_);
            waiting = wake_.wait_until(lock, turn, [this] { return stop_ || stop_serving_ || !messages_.empty(); });
        }
        make_way();
    }
}

void Outbox::send_piece(std::string message, size_t bytes) {
    make_way();
    const auto began = std::chrono::steady_clock::now();
    await_turn(bytes);
    bytes_sent_ += bytes; // before it is sent, because the answer may be faster than this thread
    connection_.send(std::move(message), deadline_in(send_time));
    speed_.sent(bytes, std::chrono::steady_clock::now() - began);
}

void Outbox::send_plain(std::uint32_t index) {
    const protocol::ClosureEntry& entry = list_[index];
    std::uint64_t sent = 0;
    Pieces pieces(piece_bytes(), [&](std::span<const std::byte> bytes) {
        sent += bytes.size();
        nar_bytes_sent_ += bytes.size();
        send_piece(protocol::encode_nar_piece(index, bytes), bytes.size());
    });
    delivery_.read_nar(entry.path, entry.nar_size, [&](std::span<const std::byte> bytes) { pieces.add(bytes); });
    pieces.flush();
    require_nar_size(entry.path, sent, entry.nar_size);
}

void Outbox::send_packed(std::uint32_t index, int level) {
    const protocol::ClosureEntry& entry = list_[index];
    nar_bytes_sent_ += entry.nar_size;
    std::uint64_t sent = 0;
    try {
        PackedNars::Reader reader(*delivery_.packed_nars, entry.path, entry.nar_size, level);
        level = reader.level();
        std::vector<std::byte> buffer(piece_bytes());
        for (;;) {
            const std::optional<size_t> size = reader.read(buffer, deadline_in(production_look));
            if (!size) {
                make_way();
                continue;
            }
            if (*size == 0)
                return;
            const auto bytes = std::span<const std::byte>(buffer).first(*size);
            send_piece(protocol::encode_compressed_nar_piece(index, bytes), *size);
            sent += *size;
        }
    } catch (const PackedNars::NotHeld&) {
        pack_and_send(index, sent == 0 ? std::min(level, modest_level) : level, sent);
    }
}

// Compresses a path for this node alone, and sends what follows the first `sent` bytes of its frame.
void Outbox::pack_and_send(std::uint32_t index, int level, std::uint64_t sent) {
    const protocol::ClosureEntry& entry = list_[index];
    Pieces pieces(piece_bytes(), [&](std::span<const std::byte> bytes) {
        send_piece(protocol::encode_compressed_nar_piece(index, bytes), bytes.size());
    });
    pack_nar(delivery_.read_nar, entry.path, entry.nar_size, level, [&](std::span<const std::byte> bytes) {
        const auto skipped = static_cast<size_t>(std::min<std::uint64_t>(sent, bytes.size()));
        sent -= skipped;
        pieces.add(bytes.subspan(skipped));
        if (skipped > 0)
            make_way(); // nothing is sent meanwhile
    });
    pieces.flush();
}

void Outbox::send_nar(std::uint32_t index) {
    const auto level = delivery_.packed_nars ? compression_level(speed_.bytes_per_second()) : std::nullopt;
    if (level)
        send_packed(index, *level);
    else
        send_plain(index);
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
        delivery_.read_nar = {}; // its connection to the store may be in the middle of a NAR
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

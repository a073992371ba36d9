#include "shared/base/bytes.hpp"
#include "shared/base/file.hpp"
#include "shared/protocol/json.hpp"
#include "tests/unit/base/zstd_frame.hpp"
#include "tests/unit/trigger/nar_store.hpp"
#include "tests/unit/trigger/samples.hpp"
#include "trigger/deploy/outbox.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace waggle::trigger {
namespace {

using namespace std::chrono_literals;

// Accepts a message and returns from send() as `gate` specifies: after a while, or only when it is aborted.
class SlowConnection : public net::Connection {
public:
    enum class Gate { a_while, never };
    explicit SlowConnection(Gate gate) : gate_(gate) {}

    void send(std::string, Deadline) override {
        std::unique_lock lock(mutex_);
        taken_ = true;
        changed_.notify_all();
        if (gate_ == Gate::a_while)
            changed_.wait_for(lock, 50ms, [this] { return aborted_; });
        else
            changed_.wait(lock, [this] { return aborted_; });
        if (aborted_)
            throw net::ConnectionLost("broken off");
    }
    void wait_until_taken() {
        std::unique_lock lock(mutex_);
        ASSERT_TRUE(changed_.wait_for(lock, 10s, [this] { return taken_; }));
    }
    bool aborted() const {
        const std::scoped_lock lock(mutex_);
        return aborted_;
    }

    std::optional<std::string> receive(Deadline) override { return std::nullopt; }
    void finish(Deadline) noexcept override {}
    void abort() noexcept override {
        const std::scoped_lock lock(mutex_);
        aborted_ = true;
        changed_.notify_all();
    }
    std::string peer() const override { return "a test"; }

private:
    const Gate gate_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool taken_ = false;
    bool aborted_ = false;
};

ReadNar no_nars() {
    return [](const nix::StorePath&, std::uint64_t, const nix::NarSink&) {};
}

TEST(Outbox, LeavesTheConnectionOpenAfterSendingAll) {
    const protocol::ClosureList list;
    SlowConnection connection(SlowConnection::Gate::a_while);
    {
        TimesWanted times;
        LinkSpeed speed;
        Outbox outbox(connection, list, {.read_nar = no_nars()}, times, speed);
        outbox.say("the last message");
        connection.wait_until_taken(); // the node has it, and may have answered
    }
    EXPECT_FALSE(connection.aborted());
}

TEST(Outbox, ServesEachPathOncePerConnectionUpToATotalLimit) {
    const protocol::ClosureList list = sample_closure()->list;
    TimesWanted times{.most = 2, .of_each = {}};
    LinkSpeed speed;
    for (int connections = 0; connections < 2; ++connections) {
        SlowConnection connection(SlowConnection::Gate::a_while);
        Outbox outbox(connection, list, {.read_nar = sample_nar_reader()}, times, speed);
        outbox.serve({0});
        EXPECT_THROW(outbox.serve({0}), protocol::BadDocument);
        EXPECT_THROW(outbox.serve({1, 1}), protocol::BadDocument);
    }
    SlowConnection connection(SlowConnection::Gate::a_while);
    Outbox outbox(connection, list, {.read_nar = sample_nar_reader()}, times, speed);
    EXPECT_THROW(outbox.serve({0}), protocol::BadDocument) << "a third time, whatever the connections";
}

TEST(Outbox, AbortsAConnectionThatAcceptsNothing) {
    const protocol::ClosureList list;
    SlowConnection connection(SlowConnection::Gate::never);
    {
        TimesWanted times;
        LinkSpeed speed;
        Outbox outbox(connection, list, {.read_nar = no_nars()}, times, speed);
        outbox.say("a message");
        connection.wait_until_taken();
    }
    EXPECT_TRUE(connection.aborted());
}

// Accepts all messages at once.
class RecordingConnection : public net::Connection {
public:
    void send(std::string message, Deadline) override {
        {
            const std::scoped_lock lock(mutex_);
            messages_.push_back(std::move(message));
        }
        changed_.notify_all();
    }
    // Waits until so many messages have arrived.
    std::vector<std::string> wait_for(size_t count) {
        std::unique_lock lock(mutex_);
        EXPECT_TRUE(changed_.wait_for(lock, 10s, [&] { return messages_.size() >= count; }));
        return messages_;
    }
    bool aborted() const { return aborted_; }

    std::optional<std::string> receive(Deadline) override { return std::nullopt; }
    void finish(Deadline) noexcept override {}
    void abort() noexcept override { aborted_ = true; }
    std::string peer() const override { return "a test"; }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> messages_;
    std::atomic<bool> aborted_ = false;
};

class OutboxOfNars : public testing::Test {
protected:
    // A path that does not compress, and one that does.
    static protocol::ClosureList make_list() {
        std::vector<nix::PathInfo> infos;
        for (const char path : {'1', '9'}) {
            const std::string nar = NarStore::nar(path);
            infos.push_back({.path = sample_path(path, "lib"),
                             .nar_hash = sha256(nar),
                             .nar_size = nar.size(),
                             .references = {},
                             .deriver = {}});
        }
        return protocol::make_closure_list(infos);
    }
    void start(std::optional<PackedNarsLimits> limits, UploadLimit* upload_limit = nullptr) {
        if (limits)
            packed.emplace([this] { return store.reader(); }, *limits, folder.path());
        outbox.emplace(connection, list,
                       NarDelivery{.read_nar = store.reader(),
                                   .packed_nars = packed ? &*packed : nullptr,
                                   .upload_limit = upload_limit},
                       times, speed);
    }
    // Waits until everything is sent, and returns the NAR that the messages hold.
    std::string received_nar() {
        const auto deadline = deadline_in(10s);
        while (!outbox->idle() && std::chrono::steady_clock::now() < deadline)
            std::this_thread::yield();
        outbox->check();
        std::string nar;
        ZstdDecompressor frame;
        std::vector<std::byte> buffer(10'000);
        for (const std::string& message : connection.wait_for(0)) {
            const auto incoming = protocol::decode(message);
            if (const auto* piece = std::get_if<protocol::NarPiece>(&incoming)) {
                nar += piece->bytes;
                ++plain;
            } else if (const auto* compressed = std::get_if<protocol::CompressedNarPiece>(&incoming)) {
                auto input = as_bytes(compressed->bytes);
                while (const size_t size = frame.read(input, buffer))
                    nar += as_text(std::span<const std::byte>(buffer).first(size));
                ++compressed_pieces;
            }
        }
        return nar;
    }

    TemporaryFolder folder;
    NarStore store;
    const protocol::ClosureList list = make_list();
    RecordingConnection connection;
    TimesWanted times;
    LinkSpeed speed;
    size_t plain = 0;
    size_t compressed_pieces = 0;
    std::optional<PackedNars> packed;
    std::optional<Outbox> outbox; // last, because it uses the members above
};

TEST_F(OutboxOfNars, SendsAPathAsOneFrame) {
    start(PackedNarsLimits{});
    outbox->serve({0});
    EXPECT_EQ(received_nar(), store.nar('1'));
    EXPECT_EQ(plain, 0u);
    EXPECT_EQ(outbox->nar_bytes_sent(), list[0].nar_size);
    EXPECT_EQ(outbox->bytes_sent(), zstd_frame(store.nar('1')).size());
}

TEST_F(OutboxOfNars, DoesNotCompressOverAFastLink) {
    speed.sent(64 << 20, std::chrono::milliseconds(10));
    start(PackedNarsLimits{});
    outbox->serve({0});
    EXPECT_EQ(received_nar(), store.nar('1'));
    EXPECT_EQ(compressed_pieces, 0u);
    EXPECT_EQ(outbox->bytes_sent(), list[0].nar_size);
    EXPECT_EQ(outbox->nar_bytes_sent(), list[0].nar_size);
}

TEST_F(OutboxOfNars, CompressesForItselfWhatIsTooLargeToHold) {
    start(PackedNarsLimits{.disk_bytes = 100'000});
    outbox->serve({0});
    EXPECT_EQ(received_nar(), store.nar('1'));
    EXPECT_EQ(plain, 0u);
}

TEST_F(OutboxOfNars, ContinuesTheFrameForItselfWhenThePathIsNoLongerHeld) {
    // Another path, which is still being read, leaves room for one batch of this one.
    packed.emplace([this] { return store.reader(); }, PackedNarsLimits{.disk_bytes = 1360 << 10}, folder.path());
    PackedNars::Reader other(*packed, sample_path('1', "lib"), store.nar('1').size(), 3);
    std::vector<std::byte> buffer(1 << 20);
    while (other.read(buffer, deadline_in(10s)).value() > 0)
        ;
    store.hold_after(900'000);
    speed.sent(1'000'000, 1s); // a slow link: level 9
    start(std::nullopt);
    outbox->serve({1});
    connection.wait_for(1);
    store.let_continue();
    EXPECT_EQ(received_nar(), store.nar('9'));
    EXPECT_EQ(plain, 0u);
    EXPECT_EQ(store.times_read('9'), 2);
    EXPECT_EQ(outbox->bytes_sent(), zstd_frame(store.nar('9'), 9).size());
    EXPECT_NE(outbox->bytes_sent(), zstd_frame(store.nar('9'), 3).size());
}

TEST_F(OutboxOfNars, SendsMessagesWhileAPathIsStillBeingCompressed) {
    store.hold_after(0);
    start(PackedNarsLimits{});
    outbox->serve({0});
    outbox->say("a message");
    EXPECT_EQ(connection.wait_for(1).front(), "a message");
    outbox.reset();
    EXPECT_FALSE(connection.aborted()) << "it stopped at once";
    store.let_continue();
}

TEST_F(OutboxOfNars, SendsSmallPiecesWithinAnUploadLimit) {
    UploadLimit limit(std::uint64_t{160} << 20);
    UploadLimit tight(1 << 10);
    start(PackedNarsLimits{}, &limit);
    outbox->serve({0});
    EXPECT_EQ(received_nar(), store.nar('1'));
    outbox.reset();
    times = {};
    start(std::nullopt, &tight);
    outbox->serve({0});
    const auto messages = connection.wait_for(compressed_pieces + 1);
    EXPECT_EQ(messages.back().size(), tight.piece_bytes() + 5);
}

TEST_F(OutboxOfNars, StopsAndSendsMessagesWhileItWaitsForItsTurn) {
    UploadLimit limit(1 << 10);
    limit.reserve(1 << 20, std::chrono::steady_clock::now()); // another node takes the next quarter of an hour
    const auto next_turn = [&] { return limit.reserve(0, {}); };
    const auto turn_of_the_outbox = next_turn();
    start(std::nullopt, &limit);
    outbox->serve({0});
    while (next_turn() == turn_of_the_outbox) // until it has reserved that
        std::this_thread::yield();
    outbox->say("a message");
    EXPECT_EQ(connection.wait_for(1).front(), "a message");
    outbox.reset();
    EXPECT_FALSE(connection.aborted());
}

TEST_F(OutboxOfNars, StopsServingWhileItWaitsForItsTurn) {
    UploadLimit limit(1 << 10);
    limit.reserve(1 << 20, std::chrono::steady_clock::now());
    start(std::nullopt, &limit);
    outbox->serve({0});
    outbox->stop_serving();
    received_nar(); // waits until it has nothing to do
    EXPECT_TRUE(outbox->idle());
    EXPECT_EQ(outbox->bytes_sent(), 0u);
}

} // namespace
} // namespace waggle::trigger

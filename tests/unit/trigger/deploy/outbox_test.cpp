#include "shared/base/bytes.hpp"
#include "shared/protocol/json.hpp"
#include "tests/unit/trigger/samples.hpp"
#include "trigger/deploy/outbox.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>

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
        Outbox outbox(connection, list, no_nars(), times);
        outbox.say("the last message");
        connection.wait_until_taken(); // the node has it, and may have answered
    }
    EXPECT_FALSE(connection.aborted());
}

TEST(Outbox, ServesEachPathOncePerConnectionUpToATotalLimit) {
    const protocol::ClosureList list = sample_closure()->list;
    TimesWanted times{.most = 2, .of_each = {}};
    for (int connections = 0; connections < 2; ++connections) {
        SlowConnection connection(SlowConnection::Gate::a_while);
        Outbox outbox(connection, list, sample_nar_reader(), times);
        outbox.serve({0});
        EXPECT_THROW(outbox.serve({0}), protocol::BadDocument);
        EXPECT_THROW(outbox.serve({1, 1}), protocol::BadDocument);
    }
    SlowConnection connection(SlowConnection::Gate::a_while);
    Outbox outbox(connection, list, sample_nar_reader(), times);
    EXPECT_THROW(outbox.serve({0}), protocol::BadDocument) << "a third time, whatever the connections";
}

TEST(Outbox, AbortsAConnectionThatAcceptsNothing) {
    const protocol::ClosureList list;
    SlowConnection connection(SlowConnection::Gate::never);
    {
        TimesWanted times;
        Outbox outbox(connection, list, no_nars(), times);
        outbox.say("a message");
        connection.wait_until_taken();
    }
    EXPECT_TRUE(connection.aborted());
}

} // namespace
} // namespace waggle::trigger

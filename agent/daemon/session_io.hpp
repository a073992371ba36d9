#pragma once

#include "agent/daemon/deployment_run.hpp"
#include "agent/daemon/fetch.hpp"
#include "agent/daemon/nar_pieces.hpp"
#include "agent/daemon/node_build.hpp"
#include "shared/base/time.hpp"
#include "shared/net/connection.hpp"
#include "shared/protocol/messages.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace waggle::agent {

// The two directions of a session's connection, as its threads use them.

// Sends messages from several threads, one at a time. Each call may throw what net::Connection::send throws.
class Replies {
public:
    Replies(net::Connection& connection, std::chrono::milliseconds timeout)
        : connection_(connection), timeout_(timeout) {}

    void send(const protocol::Message& message);
    // Sends the text of a closure list, in pieces.
    void send_list(std::string_view text);
    void abort() noexcept { connection_.abort(); }

private:
    net::Connection& connection_;
    std::chrono::milliseconds timeout_;
    std::mutex mutex_;
};

// Forwards one deployment's events after number `after` as they happen, and then its result, on a thread of its own.
class EventSender {
public:
    EventSender(Replies& replies, std::shared_ptr<DeploymentRun> run, std::uint64_t after);

    const DeploymentRun& run() const { return *run_; }

private:
    void send_all(Replies& replies, std::uint64_t after, std::stop_token stop) const;

    std::shared_ptr<DeploymentRun> run_;
    std::jthread thread_; // last, because it uses the member above
};

// Feeds a deployment or a build from the session that brought it.
class SessionFeed : public Feed {
public:
    // `Work` has an ID and can be cancelled: it is a deployment or a build. `version` is that of the session's
    // protocol. A trigger that sends nothing for the time `stall` has lost the session.
    template <class Work>
    SessionFeed(net::Connection& connection, Replies& replies, Work& work, int version, std::chrono::milliseconds stall)
        : connection_(connection), replies_(replies), id_(work.id()), cancel_([&work] { work.cancel(); }),
          cancelled_([&work] { return work.cancelled(); }), stall_(stall), pieces_(version) {}

    std::string_view next_list_piece() override;
    std::string_view next_bundle_piece() override;
    void want(std::vector<std::uint32_t> indices) override;
    protocol::NarPiece next_nar_piece() override;

private:
    // Receives a message that is one of these pieces.
    template <class... Pieces>
    protocol::Incoming next(std::string_view awaited);
    void check_cancelled() const;
    void receive(std::string_view awaited, Deadline stalled);

    net::Connection& connection_;
    Replies& replies_;
    protocol::DeploymentId id_;
    std::function<void()> cancel_;
    std::function<bool()> cancelled_;
    std::chrono::milliseconds stall_;
    std::string received_; // the last piece's view points into it
    NarPieces pieces_;
};

// Watches the session while the node builds, on a thread of its own. The trigger may only cancel the build or
// disconnect, which also cancels it.
class BuildWatch {
public:
    BuildWatch(net::Connection& connection, TargetBuild& build);

private:
    std::jthread thread_;
};

} // namespace waggle::agent

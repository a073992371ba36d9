#include "agent/daemon/session_io.hpp"

#include "shared/base/error.hpp"
#include "shared/protocol/json.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <variant>

namespace waggle::agent {

namespace {

constexpr std::chrono::seconds cancel_look{1};       // how soon a feed notices that another session has cancelled
constexpr std::chrono::milliseconds build_look{100}; // how soon a watch notices that the build is over

void watch_build(net::Connection& connection, TargetBuild& build, std::stop_token stop) {
    while (!stop.stop_requested() && !build.cancelled()) {
        try {
            const auto message = connection.receive(deadline_in(build_look));
            if (!message)
                throw net::ConnectionLost("the trigger has closed it");
            const auto incoming = protocol::decode(*message);
            const auto* said = std::get_if<protocol::Message>(&incoming);
            const auto* cancel = said != nullptr ? std::get_if<protocol::Cancel>(said) : nullptr;
            if (said != nullptr && (cancel == nullptr || cancel->id != build.id()))
                throw protocol::BadDocument("the trigger sent something other than cancel");
            if (cancel != nullptr)
                build.cancel();
        } catch (const TimedOut&) {
            continue;
        }
    }
}

} // namespace

void Replies::send(const protocol::Message& message) {
    const std::lock_guard lock(mutex_);
    connection_.send(protocol::encode(message), deadline_in(timeout_));
}

void Replies::send_list(std::string_view text) {
    for (size_t at = 0; at < text.size(); at += protocol::data_piece_bytes) {
        const std::lock_guard lock(mutex_);
        connection_.send(protocol::encode_closure_list_piece(text.substr(at, protocol::data_piece_bytes)),
                         deadline_in(timeout_));
    }
}

EventSender::EventSender(Replies& replies, std::shared_ptr<DeploymentRun> run, std::uint64_t after)
    : run_(std::move(run)), thread_([this, &replies, after](std::stop_token stop) { send_all(replies, after, stop); }) {
}

void EventSender::send_all(Replies& replies, std::uint64_t after, std::stop_token stop) const {
    try {
        while (auto item = run_->events().next(after, stop)) {
            if (auto* event = std::get_if<protocol::Event>(&*item)) {
                after = event->number;
                replies.send(*event);
            } else {
                replies.send(std::get<protocol::Result>(*item));
                return;
            }
        }
    } catch (const std::exception& error) {
        spdlog::debug("events of {} were not sent: {}", run_->id().brief(), error.what());
        replies.abort(); // this tells the receiving side of the session
    }
}

template <class... Pieces>
protocol::Incoming SessionFeed::next(std::string_view awaited) {
    const auto stalled = deadline_in(stall_);
    while (true) {
        receive(awaited, stalled);
        auto incoming = protocol::decode(received_);
        if ((std::holds_alternative<Pieces>(incoming) || ...))
            return incoming;
        const auto* message = std::get_if<protocol::Message>(&incoming);
        const auto* cancel = message != nullptr ? std::get_if<protocol::Cancel>(message) : nullptr;
        if (cancel == nullptr)
            throw protocol::BadDocument(fmt::format("the trigger sent something other than {}", awaited));
        if (cancel->id == id_)
            cancel_();
    }
}

void SessionFeed::check_cancelled() const {
    if (cancelled_())
        throw Interrupted("cancelled");
}

void SessionFeed::receive(std::string_view awaited, Deadline stalled) {
    while (true) {
        check_cancelled();
        try {
            auto message = connection_.receive(std::min(stalled, deadline_in(cancel_look)));
            if (!message)
                throw net::ConnectionLost("the trigger has closed it");
            received_ = std::move(*message);
            return;
        } catch (const TimedOut&) {
            if (std::chrono::steady_clock::now() >= stalled)
                throw net::ConnectionLost(
                    fmt::format("received nothing of {} for {} s", awaited,
                                std::chrono::duration_cast<std::chrono::seconds>(stall_).count()));
        }
    }
}

std::string_view SessionFeed::next_list_piece() {
    return std::get<protocol::ClosureListPiece>(next<protocol::ClosureListPiece>("the closure list")).text;
}

std::string_view SessionFeed::next_bundle_piece() {
    return std::get<protocol::SecretBundlePiece>(next<protocol::SecretBundlePiece>("the secrets")).bytes;
}

void SessionFeed::want(std::vector<std::uint32_t> indices) {
    replies_.send(protocol::Want{std::move(indices)});
}

protocol::NarPiece SessionFeed::next_nar_piece() {
    check_cancelled(); // one message may decompress to very many pieces
    while (true) {
        if (const auto piece = pieces_.next())
            return *piece;
        const auto incoming = next<protocol::NarPiece, protocol::CompressedNarPiece>("a path");
        if (const auto* piece = std::get_if<protocol::NarPiece>(&incoming))
            pieces_.add(*piece);
        else
            pieces_.add(std::get<protocol::CompressedNarPiece>(incoming));
    }
}

BuildWatch::BuildWatch(net::Connection& connection, TargetBuild& build)
    : thread_([&connection, &build](std::stop_token stop) {
          try {
              watch_build(connection, build, stop);
          } catch (const std::exception& error) {
              spdlog::info("the session of a build: {}", error.what());
              build.cancel();
          }
      }) {}

} // namespace waggle::agent

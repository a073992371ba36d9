#include "agent/daemon/session.hpp"

#include "agent/daemon/facts.hpp"
#include "agent/daemon/history_requests.hpp"
#include "shared/base/error.hpp"
#include "shared/protocol/json.hpp"
#include "shared/protocol/messages.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <variant>

namespace waggle::agent {

namespace {

constexpr std::chrono::seconds cancel_look{1};       // how soon a feed notices that another session has cancelled
constexpr std::chrono::milliseconds build_look{100}; // how soon a watch notices that the build is over
constexpr std::chrono::seconds close_timeout{5};

// Sends messages from several threads, one at a time.
class Replies {
public:
    Replies(net::Connection& connection, std::chrono::milliseconds timeout)
        : connection_(connection), timeout_(timeout) {}

    void send(const protocol::Message& message) {
        const std::lock_guard lock(mutex_);
        connection_.send(protocol::encode(message), deadline_in(timeout_));
    }
    void send_list_piece(std::string_view text) {
        const std::lock_guard lock(mutex_);
        connection_.send(protocol::encode_closure_list_piece(text), deadline_in(timeout_));
    }
    void abort() noexcept { connection_.abort(); }

private:
    net::Connection& connection_;
    std::chrono::milliseconds timeout_;
    std::mutex mutex_;
};

// Forwards one deployment's events as they happen, and then its result, on a thread of its own.
class EventSender {
public:
    EventSender(Replies& replies, std::shared_ptr<DeploymentRun> run, std::uint64_t after)
        : run_(std::move(run)),
          thread_([this, &replies, after](std::stop_token stop) { send_all(replies, after, stop); }) {}

    const DeploymentRun& run() const { return *run_; }

private:
    void send_all(Replies& replies, std::uint64_t after, std::stop_token stop) const {
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

    std::shared_ptr<DeploymentRun> run_;
    std::jthread thread_; // last, because it uses the members above
};

// Feeds a deployment or a build from the session that brought it.
class SessionFeed : public Feed {
public:
    // `Work` has an id and can be cancelled: it is a deployment or a build.
    template <class Work>
    SessionFeed(net::Connection& connection, Replies& replies, Work& work, std::chrono::milliseconds stall)
        : connection_(connection), replies_(replies), id_(work.id()), cancel_([&work] { work.cancel(); }),
          cancelled_([&work] { return work.cancelled(); }), stall_(stall) {}

    std::string_view next_list_piece() override { return next<protocol::ClosureListPiece>("the closure list").text; }

    std::string_view next_bundle_piece() override { return next<protocol::SecretBundlePiece>("the secrets").bytes; }

    void want(std::vector<std::uint32_t> indices) override { replies_.send(protocol::Want{std::move(indices)}); }

    protocol::NarPiece next_nar_piece() override { return next<protocol::NarPiece>("a path"); }

private:
    template <typename Piece>
    Piece next(std::string_view awaited) {
        const auto stalled = deadline_in(stall_);
        while (true) {
            receive(awaited, stalled);
            const auto incoming = protocol::decode(received_);
            if (const auto* piece = std::get_if<Piece>(&incoming))
                return *piece;
            const auto* message = std::get_if<protocol::Message>(&incoming);
            const auto* cancel = message != nullptr ? std::get_if<protocol::Cancel>(message) : nullptr;
            if (cancel == nullptr)
                throw protocol::BadDocument(fmt::format("the trigger sent something other than {}", awaited));
            if (cancel->id == id_)
                cancel_();
        }
    }

    void receive(std::string_view awaited, Deadline stalled) {
        while (true) {
            if (cancelled_())
                throw Interrupted("cancelled");
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

    net::Connection& connection_;
    Replies& replies_;
    protocol::DeploymentId id_;
    std::function<void()> cancel_;
    std::function<bool()> cancelled_;
    std::chrono::milliseconds stall_;
    std::string received_; // the last piece's view points into it
};

// Watches the session while the node builds. The trigger may only cancel the build or disconnect.
class BuildWatch {
public:
    BuildWatch(net::Connection& connection, TargetBuild& build)
        : thread_([&connection, &build](std::stop_token stop) {
              try {
                  watch(connection, build, stop);
              } catch (const std::exception& error) {
                  spdlog::info("the session of a build: {}", error.what());
                  build.cancel();
              }
          }) {}

private:
    static void watch(net::Connection& connection, TargetBuild& build, std::stop_token stop) {
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

    std::jthread thread_;
};

// Returns the answer, or a refusal with this code and the reason why there is none.
protocol::Message try_or_refuse(std::string code, const std::function<protocol::Message()>& answer) {
    try {
        return answer();
    } catch (const std::exception& error) {
        return protocol::Refused{std::move(code), error.what()};
    }
}

class ServedSession {
public:
    ServedSession(const SessionStart& start, const Environment& environment, Deployments& deployments,
                  const SessionLimits& limits)
        : connection_(start.connection), environment_(environment), deployments_(deployments), limits_(limits),
          hello_time_(start.hello_time), operator_key_(start.operator_key), exporter_(start.exporter),
          replies_(start.connection, limits.send) {}

    void serve(int version) {
        replies_.send(gather_facts(environment_, deployments_, version));
        while (auto message = receive()) {
            const auto incoming = protocol::decode(*message);
            // Skip pieces that were still in transit when a deployment ended.
            if (!std::holds_alternative<protocol::Message>(incoming))
                continue;
            if (!is_still_operator()) {
                replies_.send(
                    protocol::Refused{"unknown-operator", fmt::format("{} is not an operator of this node any more",
                                                                      operator_key_->fingerprint())});
                return;
            }
            if (!handle(std::get<protocol::Message>(incoming)))
                return;
        }
    }

private:
    // Returns nullopt if the trigger has disconnected or has been silent for too long.
    std::optional<std::string> receive() {
        while (true) {
            const bool watching = sender_ && !sender_->run().events().ended();
            try {
                return connection_.receive(deadline_in(sender_ && !watching ? limits_.after_result : limits_.idle));
            } catch (const TimedOut&) {
                if (!watching)
                    return std::nullopt;
            }
        }
    }

    // A commit, or root at the console, may have removed the key since the session began.
    bool is_still_operator() const {
        if (!operator_key_)
            return true;
        const auto operators = deployments_.operators();
        return std::ranges::find(operators, *operator_key_) != operators.end();
    }

    // Returns false if the session must end.
    bool handle(const protocol::Message& message) {
        if (const auto* deploy = std::get_if<protocol::Deploy>(&message)) {
            on_deploy(*deploy);
        } else if (const auto* attach = std::get_if<protocol::Attach>(&message)) {
            on_attach(*attach);
        } else if (const auto* cancel = std::get_if<protocol::Cancel>(&message)) {
            if (const auto run = deployments_.find(cancel->id))
                run->cancel();
        } else if (const auto* confirm = std::get_if<protocol::Confirm>(&message)) {
            if (const auto refused = deployments_.confirm(confirm->id))
                replies_.send(*refused);
        } else if (std::holds_alternative<protocol::CheckHealth>(message)) {
            replies_.send(try_or_refuse("health-checks-not-run", environment_.check_health));
        } else if (std::holds_alternative<protocol::RebootNode>(message)) {
            replies_.send(try_or_refuse("reboot-failed", [this] { return reboot(); }));
        } else if (std::holds_alternative<protocol::GetSecrets>(message)) {
            replies_.send(try_or_refuse("secrets-not-looked-at", environment_.report_secrets));
        } else if (const auto* get = std::get_if<protocol::GetHistory>(&message)) {
            replies_.send(history_of(environment_, get->limit));
        } else if (const auto* recall = std::get_if<protocol::Recall>(&message)) {
            on_recall(*recall);
        } else if (const auto* build = std::get_if<protocol::Build>(&message)) {
            on_build(*build);
        } else {
            replies_.send(protocol::Refused{"unexpected-message", "only a trigger's messages are accepted here"});
            return false;
        }
        return true;
    }

    void on_deploy(const protocol::Deploy& deploy) {
        auto answer = deployments_.deploy(deploy.document, clock());
        if (const auto* refused = std::get_if<protocol::Refused>(&answer)) {
            replies_.send(*refused);
            return;
        }
        auto& started = std::get<Deployments::Started>(answer);
        const auto run = started.run;
        const bool attached = started.attached;
        std::exception_ptr lost; // an admitted deployment is carried out to its end in any case
        try {
            replies_.send(protocol::Admitted{run->id(), attached});
            sender_.emplace(replies_, run, 0);
        } catch (...) {
            lost = std::current_exception();
        }
        if (!attached) {
            SessionFeed feed(connection_, replies_, *run, limits_.feed_stall);
            deployments_.carry_out(std::move(started), feed);
        }
        if (lost)
            std::rethrow_exception(lost);
    }

    void on_attach(const protocol::Attach& attach) {
        const auto run = deployments_.find(attach.id);
        if (!run) {
            replies_.send(protocol::Refused{"unknown-deployment",
                                            fmt::format("this node does not know deployment {}", attach.id.brief())});
            return;
        }
        replies_.send(protocol::Admitted{run->id(), true});
        sender_.emplace(replies_, run, attach.after);
    }

    protocol::Message reboot() {
        std::string boot_id;
        const auto under_way = deployments_.unless_running([&] {
            boot_id = environment_.host.boot_id();
            environment_.reboot();
        });
        if (under_way)
            return protocol::Refused{"busy", fmt::format("deployment {} of {} has been {} since {}",
                                                         under_way->id.brief(), under_way->operator_key,
                                                         to_string(under_way->state), to_rfc3339(under_way->since))};
        return protocol::Rebooting{std::move(boot_id)};
    }

    void on_recall(const protocol::Recall& request) {
        const auto answer = recall(environment_, request.generation);
        if (const auto* refused = std::get_if<protocol::Refused>(&answer))
            return replies_.send(*refused);
        const auto& kept = std::get<Archive::Kept>(answer);
        replies_.send(protocol::Recalled{kept.generation, kept.document, kept.list.size()});
        send_list(kept.list);
    }

    void on_build(const protocol::Build& message) {
        const auto answer = deployments_.begin_build(message.document, exporter_);
        if (const auto* refused = std::get_if<protocol::Refused>(&answer))
            return replies_.send(*refused);
        TargetBuild& build = *std::get<std::unique_ptr<TargetBuild>>(answer);
        replies_.send(protocol::Admitted{build.id(), false});
        const auto tell = [this](const protocol::Message& said) { replies_.send(said); };
        SessionFeed feed(connection_, replies_, build, limits_.feed_stall);
        if (const auto failure = build.fetch(feed, tell))
            return replies_.send(*failure);
        const auto outcome = [&] {
            const BuildWatch watch(connection_, build);
            return build.build(tell);
        }();
        if (const auto* failure = std::get_if<protocol::NotBuilt>(&outcome))
            return replies_.send(*failure);
        const auto& list = std::get<protocol::ClosureList>(outcome);
        const auto text = protocol::to_text(list);
        replies_.send(protocol::Built{build.id(), protocol::summarize(text, list)});
        send_list(text);
    }

    void send_list(std::string_view text) {
        for (size_t at = 0; at < text.size(); at += protocol::data_piece_bytes)
            replies_.send_list_piece(text.substr(at, protocol::data_piece_bytes));
    }

    // The operator's clock: the time in its hello plus the time since.
    Time clock() const {
        return hello_time_ +
               std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began_);
    }

    net::Connection& connection_;
    const Environment& environment_;
    Deployments& deployments_;
    SessionLimits limits_;
    Time hello_time_;
    std::optional<ssh::PublicKey> operator_key_;
    protocol::Exporter exporter_;
    std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
    Replies replies_;
    std::optional<EventSender> sender_; // last, because it uses the replies
};

} // namespace

void serve_session(const SessionStart& start, const Environment& environment, Deployments& deployments,
                   const SessionLimits& limits) {
    try {
        ServedSession session(start, environment, deployments, limits);
        try {
            session.serve(start.version);
        } catch (...) {
            start.connection.abort(); // a sender whose peer does not read must not block us
            throw;
        }
    } catch (const net::ConnectionLost& error) {
        spdlog::info("session with {}: {}", start.connection.peer(), error.what());
        return;
    } catch (const std::exception& error) {
        spdlog::warn("session with {}: {}", start.connection.peer(), error.what());
        return;
    }
    start.connection.finish(deadline_in(close_timeout));
}

} // namespace waggle::agent

#include "agent/daemon/session.hpp"

#include "agent/daemon/facts.hpp"
#include "agent/daemon/history_requests.hpp"
#include "agent/daemon/session_io.hpp"
#include "shared/base/error.hpp"
#include "shared/protocol/messages.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace waggle::agent {

namespace {

constexpr std::chrono::seconds close_timeout{5};

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
          version_(start.version), hello_time_(start.hello_time), operator_key_(start.operator_key),
          exporter_(start.exporter), replies_(start.connection, limits.send) {}

    void serve() {
        replies_.send(gather_facts(environment_, deployments_, version_));
        while (!over_) {
            const auto bytes = receive();
            if (!bytes)
                return;
            const auto incoming = protocol::decode(*bytes);
            // Pieces that were still in transit when a deployment ended are skipped.
            if (const auto* message = std::get_if<protocol::Message>(&incoming))
                handle(*message);
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

    void handle(const protocol::Message& message) {
        if (!is_still_operator())
            return end_with({"unknown-operator",
                             fmt::format("{} is not an operator of this node any more", operator_key_->fingerprint())});
        std::visit([this](const auto& request) { answer(request); }, message);
    }

    void end_with(const protocol::Refused& refused) {
        replies_.send(refused);
        over_ = true;
    }

    template <class NotOfATrigger>
    void answer(const NotOfATrigger&) {
        end_with({"unexpected-message", "only a trigger's messages are accepted here"});
    }

    void answer(const protocol::Deploy& deploy) {
        auto admission = deployments_.deploy(deploy.document, clock());
        if (const auto* refused = std::get_if<protocol::Refused>(&admission))
            return replies_.send(*refused);
        auto& started = std::get<Deployments::Started>(admission);
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
            SessionFeed feed(connection_, replies_, *run, version_, limits_.feed_stall);
            deployments_.carry_out(std::move(started), feed);
        }
        if (lost)
            std::rethrow_exception(lost);
    }

    void answer(const protocol::Attach& attach) {
        const auto run = deployments_.find(attach.id);
        if (!run)
            return replies_.send(protocol::Refused{
                "unknown-deployment", fmt::format("this node does not know deployment {}", attach.id.brief())});
        replies_.send(protocol::Admitted{run->id(), true});
        sender_.emplace(replies_, run, attach.after);
    }

    void answer(const protocol::Cancel& cancel) {
        if (const auto run = deployments_.find(cancel.id))
            run->cancel();
    }

    void answer(const protocol::Confirm& confirm) {
        if (const auto refused = deployments_.confirm(confirm.id))
            replies_.send(*refused);
    }

    void answer(const protocol::CheckHealth&) {
        replies_.send(try_or_refuse("health-checks-not-run", environment_.check_health));
    }

    void answer(const protocol::GetSecrets&) {
        replies_.send(try_or_refuse("secrets-not-looked-at", environment_.report_secrets));
    }

    void answer(const protocol::RebootNode&) {
        replies_.send(try_or_refuse("reboot-failed", [this] { return reboot(); }));
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

    void answer(const protocol::GetHistory& request) { replies_.send(history_of(environment_, request.limit)); }

    void answer(const protocol::Recall& request) {
        const auto found = recall(environment_, request.generation);
        if (const auto* refused = std::get_if<protocol::Refused>(&found))
            return replies_.send(*refused);
        const auto& kept = std::get<Archive::Kept>(found);
        replies_.send(protocol::Recalled{kept.generation, kept.document, kept.list.size()});
        replies_.send_list(kept.list);
    }

    void answer(const protocol::Build& request) {
        const auto admission = deployments_.begin_build(request.document, exporter_);
        if (const auto* refused = std::get_if<protocol::Refused>(&admission))
            return replies_.send(*refused);
        TargetBuild& build = *std::get<std::unique_ptr<TargetBuild>>(admission);
        replies_.send(protocol::Admitted{build.id(), false});
        const auto tell = [this](const protocol::Message& said) { replies_.send(said); };
        SessionFeed feed(connection_, replies_, build, version_, limits_.feed_stall);
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
        replies_.send_list(text);
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
    const int version_;
    Time hello_time_;
    std::optional<ssh::PublicKey> operator_key_;
    protocol::Exporter exporter_;
    std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
    bool over_ = false; // the session was refused
    Replies replies_;
    std::optional<EventSender> sender_; // last, because it uses the replies
};

} // namespace

void serve_session(const SessionStart& start, const Environment& environment, Deployments& deployments,
                   const SessionLimits& limits) {
    try {
        ServedSession session(start, environment, deployments, limits);
        try {
            session.serve();
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

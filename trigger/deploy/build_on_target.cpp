#include "trigger/deploy/build_on_target.hpp"

#include "shared/protocol/build_request.hpp"
#include "trigger/build/failure.hpp"
#include "trigger/deploy/deploy_context.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

namespace waggle::trigger {

using protocol::BuildRequest;

namespace {

using Clock = std::chrono::steady_clock;

class TargetBuild {
public:
    TargetBuild(const DeployedNode& node, Session& session, const DeployContext& context, DeploymentProgress& progress)
        : node_(node), session_(session), context_(context), progress_(progress),
          derivations_(context.require_remote_build().derivations()), request_(request()),
          document_(protocol::sign(request_, context.identity)), sent_bytes_(progress),
          end_(deadline_in(build_limit())), outbox_(*session.link.connection, derivations_->list,
                                                    nar_delivery(session, context.require_remote_build().nar_reader(),
                                                                 context.require_remote_build().packed_nars, context),
                                                    progress.derivations_wanted, progress.link_speed) {}

    std::shared_ptr<const Closure> run() {
        progress_.asked_to_build = true;
        outbox_.say(protocol::encode(protocol::Build{document_}));
        const std::string_view text = derivations_->text;
        for (size_t begin = 0; begin < text.size(); begin += protocol::data_piece_bytes)
            outbox_.say(protocol::encode_closure_list_piece(text.substr(begin, protocol::data_piece_bytes)));
        be_patient_for(context_.limits.silence);
        while (!complete()) {
            handle_interrupt();
            if (!context_.interrupt.requested())
                check_outbox(outbox_);
            try {
                receive_one();
            } catch (const TimedOut&) {
                if (Clock::now() >= deadline_)
                    throw net::ConnectionLost("the node has been silent for too long");
            }
            if (Clock::now() >= end_)
                throw Error("the node has not finished its build within its time limit");
            sent_bytes_.update(outbox_);
        }
        return closure();
    }

private:
    BuildRequest request() const {
        return {.hive = session_.name.hive,
                .node = session_.name.node,
                .node_keys = {session_.link.node_key},
                .system = node_.system,
                .drv = context_.require_remote_build().drv,
                .toplevel = context_.require_toplevel(),
                .derivations = derivations_->summary,
                .exporter = session_.link.exporter};
    }

    // Messages from the node do not extend it.
    std::chrono::milliseconds build_limit() const {
        return fetch_limit(context_.limits, derivations_->list) + request_.timeout;
    }

    void be_patient_for(std::chrono::milliseconds time) { deadline_ = deadline_in(time); }

    bool complete() const { return list_ && list_->complete(); }

    std::shared_ptr<const Closure> closure() {
        auto closure = std::make_shared<Closure>();
        closure->list = list_->finish();
        closure->text = protocol::to_text(closure->list);
        closure->summary = protocol::summarize(closure->text, closure->list);
        return closure;
    }

    void receive_one() {
        const std::optional<std::string> bytes = session_.link.connection->receive(deadline_in(receive_interval));
        if (!bytes)
            throw net::ConnectionLost("the agent closed the connection before the build's end");
        count_message(context_, progress_);
        const protocol::Incoming incoming = protocol::decode(*bytes);
        if (const auto* piece = std::get_if<protocol::ClosureListPiece>(&incoming); piece != nullptr && list_) {
            list_->update(piece->text);
            be_patient_for(context_.limits.silence);
            return;
        }
        const auto* message = std::get_if<protocol::Message>(&incoming);
        if (message == nullptr || list_)
            throw protocol::BadDocument("the agent sent data where it may only send messages, or the other way round");
        if (const auto* want = std::get_if<protocol::Want>(message))
            outbox_.serve(want->indices);
        else if (const auto* moved = std::get_if<protocol::BuildProgress>(message))
            on(*moved);
        else if (const auto* line = std::get_if<protocol::BuildLine>(message))
            on(*line);
        else if (const auto* built = std::get_if<protocol::Built>(message))
            on(*built);
        else if (const auto* not_built = std::get_if<protocol::NotBuilt>(message))
            fail(*not_built);
        else if (const auto* refused = std::get_if<protocol::Refused>(message))
            throw RefusedByNode(*refused);
        else if (!std::holds_alternative<protocol::Admitted>(*message))
            throw protocol::BadDocument("the agent sent a message that does not belong to a build");
    }

    void on(const protocol::BuildProgress& moved) {
        if (moved.paths_done < moved.paths_total) {
            be_patient_for(context_.limits.silence);
            step(Step::fetching);
            context_.reporter.transfer(node_.name, moved.bytes_done, moved.bytes_total);
        } else {
            be_patient_for(request_.timeout + context_.limits.silence); // builders may be silent
            step(Step::building);
        }
    }

    void on(const protocol::BuildLine& line) {
        progress_.log.add(line.text);
        show_line(node_.name, line.text, context_, progress_);
    }

    void on(const protocol::Built& built) {
        if (built.id != document_.id())
            throw protocol::BadDocument("the agent sent the result of another build");
        list_.emplace(built.closure, request_.toplevel);
        be_patient_for(context_.limits.silence);
    }

    [[noreturn]] void fail(const protocol::NotBuilt& not_built) const {
        if (not_built.code == "cancelled") // perhaps by us, or by a build that has replaced this one
            context_.interrupt.check();
        if (not_built.code != "build-failed")
            throw NotBuiltThere(not_built.code, not_built.message);
        std::set<std::string> derivations;
        for (const auto& entry : derivations_->list)
            derivations.insert(entry.path.absolute());
        throw NotBuiltThere(not_built.code, explain_failure(build_errors(not_built.message), derivations).text);
    }

    void step(Step step) {
        if (step_ != step)
            context_.reporter.step(node_.name, step);
        step_ = step;
    }

    void handle_interrupt() {
        if (!context_.interrupt.requested())
            return;
        if (!cancel_deadline_) {
            outbox_.stop_serving();
            outbox_.say(protocol::encode(protocol::Cancel{document_.id()}));
            cancel_deadline_ = deadline_in(context_.limits.cancel_answer);
        } else if (Clock::now() >= *cancel_deadline_) {
            context_.interrupt.check();
        }
    }

    const DeployedNode& node_;
    Session& session_;
    const DeployContext& context_;
    DeploymentProgress& progress_;
    const std::shared_ptr<const Closure> derivations_;
    const BuildRequest request_;
    const protocol::SignedDocument document_;
    SentBytes sent_bytes_;
    std::optional<protocol::ClosureListReader> list_; // of the system, once it is built
    std::optional<Step> step_;
    Deadline deadline_;
    const Deadline end_;                      // of the whole build
    std::optional<Deadline> cancel_deadline_; // set once the agent was asked to cancel
    Outbox outbox_;
};

} // namespace

std::shared_ptr<const Closure> build_on_target(const DeployedNode& node, Session& session, const DeployContext& context,
                                               DeploymentProgress& progress) {
    return TargetBuild(node, session, context, progress).run();
}

} // namespace waggle::trigger

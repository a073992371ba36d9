#include "trigger/deploy/conversation.hpp"

#include "shared/protocol/log_marks.hpp"
#include "trigger/deploy/deploy_context.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace waggle::trigger {

using protocol::DeploymentState;
using protocol::Event;

namespace {

using Clock = std::chrono::steady_clock;

Step step_of(DeploymentState state) {
    switch (state) {
    case DeploymentState::received: return Step::deploying;
    case DeploymentState::fetching: return Step::fetching;
    case DeploymentState::staged: return Step::staged;
    case DeploymentState::activating:
    case DeploymentState::awaiting_reboot: return Step::activating;
    case DeploymentState::activated:
    case DeploymentState::committing: return Step::activated;
    case DeploymentState::committed: return Step::committed;
    case DeploymentState::rolling_back:
    case DeploymentState::rolled_back:
    case DeploymentState::failed: return Step::rolling_back;
    }
    return Step::deploying;
}

// Whether the deployment has begun to change the node.
bool has_begun(DeploymentState state) {
    return state != DeploymentState::received && state != DeploymentState::fetching &&
           state != DeploymentState::staged && state != DeploymentState::failed;
}

} // namespace

// A node that prints without end must not fill the log that the trigger writes.
void show_line(const std::string& node, const std::string& text, const DeployContext& context,
               DeploymentProgress& progress) {
    const auto most = context.limits.lines_shown;
    if (++progress.lines <= most)
        context.reporter.line(node, text);
    else if (progress.lines == most + 1)
        context.reporter.line(
            node,
            fmt::format("more than {} lines: the rest is in the node's journal, and the last ones are kept", most));
}

void count_message(const DeployContext& context, DeploymentProgress& progress) {
    if (++progress.messages > context.limits.messages)
        throw protocol::BadDocument(
            fmt::format("the node has sent more than {} messages, which no deployment needs", context.limits.messages));
}

DeployLimits limits_with(std::optional<std::uint64_t> upload_limit, size_t parallel) {
    constexpr std::uint64_t many_nodes = 256;
    DeployLimits limits;
    if (upload_limit)
        limits.least_rate = std::min(
            limits.least_rate, std::max<std::uint64_t>(1, *upload_limit / (parallel == 0 ? many_nodes : parallel)));
    return limits;
}

std::chrono::milliseconds fetch_limit(const DeployLimits& limits, const protocol::ClosureList& list) {
    std::uint64_t bytes = 0;
    for (const protocol::ClosureEntry& entry : list)
        bytes += entry.nar_size;
    return limits.fetch + std::chrono::seconds(bytes / limits.least_rate);
}

void check_outbox(const Outbox& outbox) {
    try {
        outbox.check();
    } catch (const TimedOut&) {
        throw net::ConnectionLost("the node no longer reads from the connection");
    }
}

NarDelivery nar_delivery(const Session& session, ReadNar read_nar, PackedNars* packed_nars,
                         const DeployContext& context) {
    const bool reads_compressed = session.facts.version >= protocol::first_version_with_compression;
    return {.read_nar = std::move(read_nar),
            .packed_nars = reads_compressed ? packed_nars : nullptr,
            .upload_limit = context.upload_limit};
}

Conversation::Conversation(const std::string& node, Session& session, const protocol::SignedDocument& document,
                           const Attachments& attachments, std::chrono::milliseconds activation_limit,
                           const DeployContext& context, DeploymentProgress& progress)
    : node_(node), session_(session), document_(document), attachments_(attachments),
      fetch_limit_(fetch_limit(context.limits, attachments.closure.list)), activation_limit_(activation_limit),
      context_(context), progress_(progress), sent_bytes_(progress),
      outbox_(*session.link.connection, attachments.closure.list,
              nar_delivery(session, context.nar_reader(), context.packed_nars, context), progress.paths_wanted,
              progress.link_speed) {}

void Conversation::deploy() {
    outbox_.say(protocol::encode(protocol::Deploy{document_}));
    const std::string_view sealed = attachments_.sealed_bundle;
    for (size_t begin = 0; begin < sealed.size(); begin += protocol::data_piece_bytes)
        outbox_.say(protocol::encode_secret_bundle_piece(sealed.substr(begin, protocol::data_piece_bytes)));
    const std::string_view text = attachments_.closure.text;
    for (size_t begin = 0; begin < text.size(); begin += protocol::data_piece_bytes)
        outbox_.say(protocol::encode_closure_list_piece(text.substr(begin, protocol::data_piece_bytes)));
    if (!progress_.sent_at)
        progress_.sent_at = Clock::now();
}

void Conversation::attach(bool call_off) {
    outbox_.say(protocol::encode(protocol::Attach{.id = document_.id(), .after = 0}));
    // An agent that was restarted numbers its events from the start, but sends the same lines in the same order.
    lines_to_skip_ = progress_.log_lines;
    if (call_off)
        outbox_.say(protocol::encode(protocol::Cancel{document_.id()}));
}

void Conversation::confirm() {
    outbox_.say(protocol::encode(protocol::Confirm{document_.id()}));
}

Conversation::Ending Conversation::follow() {
    std::optional<Ending> ending;
    Deadline silence_deadline = deadline_in(context_.limits.silence);
    try {
        while (!ending) {
            ending = handle_interrupt();
            if (ending)
                break;
            if (!context_.interrupt.requested())
                check_outbox(outbox_);
            check_phase();
            try {
                receive_one(ending);
                silence_deadline = deadline_in(context_.limits.silence);
            } catch (const TimedOut&) {
                if (Clock::now() >= silence_deadline)
                    throw net::ConnectionLost("the node has been silent for too long");
            }
            sent_bytes_.update(outbox_);
        }
    } catch (const net::ConnectionLost&) {
        progress_.everything_was_sent = outbox_.idle();
        if (progress_.activation_seen ? !Finishing::asked_to_leave() : !context_.interrupt.requested())
            throw;
        return Detached{.activation_began = progress_.activation_seen};
    }
    sent_bytes_.update(outbox_);
    return *ending;
}

// Messages from the node extend no phase beyond its limit.
void Conversation::check_phase() const {
    const bool activating = progress_.activation_began.has_value();
    const auto began = activating ? progress_.activation_began : progress_.sent_at;
    const auto limit = activating ? activation_limit_ : fetch_limit_;
    if (began && Clock::now() >= *began + limit)
        throw Error(fmt::format("the node has not finished {} within {} min", activating ? "activating" : "fetching",
                                std::chrono::duration_cast<std::chrono::minutes>(limit).count()));
}

void Conversation::receive_one(std::optional<Ending>& ending) {
    const std::optional<std::string> bytes = session_.link.connection->receive(deadline_in(receive_interval));
    if (!bytes)
        throw net::ConnectionLost("the agent closed the connection before the deployment's end");
    count_message(context_, progress_);
    const protocol::Incoming incoming = protocol::decode(*bytes);
    const auto* message = std::get_if<protocol::Message>(&incoming);
    if (!message)
        throw protocol::BadDocument("the agent sent data where it may only send messages");
    if (const auto* event = std::get_if<Event>(message)) {
        on(*event);
    } else if (const auto* want = std::get_if<protocol::Want>(message)) {
        if (progress_.activation_seen)
            throw protocol::BadDocument("the node asked for paths after its activation had begun");
        outbox_.serve(want->indices);
    } else if (const auto* result = std::get_if<protocol::Result>(message)) {
        if (result->id != document_.id())
            throw protocol::BadDocument("the agent sent the result of another deployment");
        ending = *result;
    } else if (const auto* refused = std::get_if<protocol::Refused>(message)) {
        throw RefusedByNode(*refused);
    } else if (!std::holds_alternative<protocol::Admitted>(*message)) {
        throw protocol::BadDocument("the agent sent a message that only a trigger may send");
    }
}

void Conversation::on(const Event& event) {
    switch (event.kind) {
    case Event::Kind::state:
        on_state(event.state);
        if (!event.text.empty())
            show_line(node_, event.text, context_, progress_);
        break;
    case Event::Kind::progress: context_.reporter.transfer(node_, event.bytes_done, event.bytes_total); break;
    case Event::Kind::log:
        if (lines_to_skip_ > 0) {
            --lines_to_skip_;
            break;
        }
        ++progress_.log_lines;
        [[fallthrough]];
    case Event::Kind::note:
        progress_.log.add(event.text);
        if (event.text.ends_with(protocol::rolls_back_mark))
            progress_.log.begin_rollback();
        show_line(node_, event.text, context_, progress_);
        break;
    }
}

void Conversation::on_state(DeploymentState state) {
    progress_.state = state;
    if (state != DeploymentState::failed && state != DeploymentState::rolled_back) // the result reports these
        context_.reporter.step(node_, step_of(state));
    if (has_begun(state) && !progress_.activation_seen) {
        progress_.activation_seen = true;
        progress_.activation_began = Clock::now();
        progress_.finishing.emplace();
    }
    if (state == DeploymentState::activated)
        progress_.activated_at = Clock::now();
}

std::optional<Conversation::Ending> Conversation::handle_interrupt() {
    if (!context_.interrupt.requested())
        return std::nullopt;
    if (progress_.activation_seen) {
        if (Finishing::asked_to_leave())
            return Detached{.activation_began = true};
        if (!std::exchange(progress_.wait_announced, true))
            context_.reporter.note(fmt::format("finishing {} node{}; press again to leave ({}: {})", Finishing::count(),
                                               Finishing::count() == 1 ? "" : "s", node_,
                                               protocol::to_string(progress_.state)));
        return std::nullopt;
    }
    if (!cancel_deadline_) {
        outbox_.stop_serving();
        outbox_.say(protocol::encode(protocol::Cancel{document_.id()}));
        cancel_deadline_ = deadline_in(context_.limits.cancel_answer);
    } else if (Clock::now() >= *cancel_deadline_) {
        return Detached{.activation_began = false};
    }
    return std::nullopt;
}

} // namespace waggle::trigger

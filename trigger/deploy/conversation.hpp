#pragma once

#include "trigger/base/interrupt_on_signals.hpp"
#include "trigger/deploy/deploy_context.hpp"
#include "trigger/deploy/outbox.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace waggle::trigger {

// A loop that receives checks this often for Ctrl-C and for an error while sending.
inline constexpr auto receive_interval = std::chrono::milliseconds(100);

// The progress of a deployment across all of its connections.
struct DeploymentProgress {
    using Instant = std::chrono::steady_clock::time_point;

    protocol::DeploymentState state = protocol::DeploymentState::received;
    bool activation_seen = false;     // the agent has reported it
    bool everything_was_sent = false; // when the connection was lost, so the activation may have begun
    std::uint64_t log_lines = 0;      // of the activation, received so far
    std::uint64_t messages = 0;       // of any kind
    std::uint64_t lines = 0;          // of any kind
    std::uint64_t bytes_sent = 0;     // of store paths, as they travelled
    std::uint64_t nar_bytes_sent = 0; // their size uncompressed
    LinkSpeed link_speed;
    TimesWanted paths_wanted;
    TimesWanted derivations_wanted;
    bool asked_to_build = false; // whether the node was asked to build
    LogTail log;
    std::optional<Instant> sent_at; // the document
    std::optional<Instant> activation_began;
    std::optional<Instant> activated_at;
    std::optional<Finishing> finishing; // set from the beginning of the activation
    bool wait_announced = false;        // the operator, who has asked to stop, knows that we wait
};

// Shows a line of the node's output, up to the limit.
void show_line(const std::string& node, const std::string& text, const DeployContext& context,
               DeploymentProgress& progress);
// Throws BadDocument if the node has sent more messages than any deployment needs.
void count_message(const DeployContext& context, DeploymentProgress& progress);
// The usual limits, with time for an upload that is limited to this many bytes per second for `parallel` nodes together
// (0: all).
DeployLimits limits_with(std::optional<std::uint64_t> upload_limit, size_t parallel);
// How long fetching the whole list may take, over all connections together.
std::chrono::milliseconds fetch_limit(const DeployLimits& limits, const protocol::ClosureList& list);
// Throws the error that ended the outbox, if any.
void check_outbox(const Outbox& outbox);
// How NARs travel in this session. An agent of the previous release does not read compressed ones.
NarDelivery nar_delivery(const Session& session, ReadNar read_nar, PackedNars* packed_nars,
                         const DeployContext& context);

// Adds what an outbox sends to the progress of its node.
class SentBytes {
public:
    explicit SentBytes(DeploymentProgress& progress)
        : progress_(progress), bytes_before_(progress.bytes_sent), nar_bytes_before_(progress.nar_bytes_sent) {}

    void update(const Outbox& outbox) {
        progress_.bytes_sent = bytes_before_ + outbox.bytes_sent();
        progress_.nar_bytes_sent = nar_bytes_before_ + outbox.nar_bytes_sent();
    }

private:
    DeploymentProgress& progress_;
    const std::uint64_t bytes_before_;
    const std::uint64_t nar_bytes_before_;
};

// What is sent along with the document.
struct Attachments {
    const Closure& closure;         // without paths if the goal needs none
    std::string_view sealed_bundle; // empty: the node keeps its secrets
};

// The operator has stopped waiting for the result.
struct Detached {
    bool activation_began = false; // it continues on the node
};

// Carries out one deployment with the agent over one connection, until the result arrives.
class Conversation {
public:
    // `activation_limit` is the time from the beginning of the activation to the result.
    Conversation(const std::string& node, Session& session, const protocol::SignedDocument& document,
                 const Attachments& attachments, std::chrono::milliseconds activation_limit,
                 const DeployContext& context, DeploymentProgress& progress);

    // Sends the deployment.
    void deploy();
    // Continues with the events of a deployment that the agent has admitted in an earlier session. `call_off` cancels a
    // fetch that depends on that session and cannot continue without it.
    void attach(bool call_off);
    // Confirms to the new system's agent that it can be reached, so that it keeps the system.
    void confirm();

    using Ending = std::variant<protocol::Result, Detached>;
    // Throws RefusedByNode, and ConnectionLost or TimedOut if the connection is no longer usable.
    Ending follow();

private:
    void check_phase() const;
    void receive_one(std::optional<Ending>& ending);
    void on(const protocol::Event& event);
    void on_state(protocol::DeploymentState state);
    std::optional<Ending> handle_interrupt();

    const std::string& node_;
    Session& session_;
    const protocol::SignedDocument& document_;
    const Attachments attachments_;
    const std::chrono::milliseconds fetch_limit_;
    const std::chrono::milliseconds activation_limit_;
    const DeployContext& context_;
    DeploymentProgress& progress_;
    SentBytes sent_bytes_;
    std::uint64_t lines_to_skip_ = 0;         // a session begins with all events that the agent has
    std::optional<Deadline> cancel_deadline_; // set once the agent was asked to cancel
    Outbox outbox_;
};

} // namespace waggle::trigger

#pragma once

#include "trigger/deploy/deploy_node.hpp"
#include "trigger/deploy/outbox.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace waggle::trigger {

// What is known of a deployment, whatever becomes of the connections.
struct DeploymentProgress {
    using Instant = std::chrono::steady_clock::time_point;

    protocol::DeploymentState state = protocol::DeploymentState::received;
    bool activation_seen = false;     // the agent said so
    bool everything_was_sent = false; // when the connection was lost: the activation may have begun
    std::uint64_t log_lines = 0;      // of the activation, that were heard
    std::uint64_t events = 0;         // of any kind but progress
    std::uint64_t lines = 0;          // of any kind
    std::uint64_t bytes_sent = 0;
    bool asked_to_build = false; // the node itself
    LogTail log;
    std::optional<Instant> sent_at; // the document
    std::optional<Instant> activation_began;
};

// Shows a line of the node's, up to the cap.
void show_line(const std::string& node, const std::string& text, const Surroundings& surroundings,
               DeploymentProgress& progress);
// Throws BadDocument where it is one more than any deployment has.
void count_event(const Surroundings& surroundings, DeploymentProgress& progress);
// Throws what ended it.
void check_outbox(const Outbox& outbox);

// What goes over the wire besides the document.
struct Handout {
    const Closure& closure;         // without paths: the goal has none
    std::string_view sealed_bundle; // empty: the node keeps its secrets
};

// A conversation that ended without a result because the operator asked to stop.
struct LeftAlone {
    bool activation_began = false; // it goes on on the node
};

// Talks with the agent about one deployment over one connection, until its result is there.
class Conversation {
public:
    Conversation(const std::string& node, Session& session, const protocol::SignedDocument& document,
                 const Handout& handout, const Surroundings& surroundings, DeploymentProgress& progress);

    // Hands the deployment over.
    void deploy();
    // Goes on with the events of the deployment, which the agent has admitted in an earlier session. A fetch that hangs
    // on that session is called off: it cannot go on without it.
    void attach(bool call_off);
    // Tells the new system's agent that it was reached: it keeps the system.
    void confirm();

    using Ending = std::variant<protocol::Result, LeftAlone>;
    // Throws RefusedByNode, and ConnectionLost or TimedOut when the connection is of no more use.
    Ending follow();

private:
    void receive_one(std::optional<Ending>& ending);
    void on(const protocol::Event& event);
    void on_state(protocol::DeploymentState state);
    std::optional<Ending> handle_interrupt();

    const std::string& node_;
    Session& session_;
    const protocol::SignedDocument& document_;
    const Handout handout_;
    const Surroundings& surroundings_;
    DeploymentProgress& progress_;
    const std::uint64_t bytes_sent_before_;
    std::uint64_t lines_to_skip_ = 0;         // a session begins with all that the agent knows
    std::optional<Deadline> cancel_deadline_; // set when the agent was asked to give up
    Outbox outbox_;
};

} // namespace waggle::trigger

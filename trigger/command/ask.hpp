#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/hive_pipeline.hpp"
#include "trigger/command/options.hpp"
#include "trigger/connect/identity.hpp"
#include "trigger/connect/session.hpp"
#include "trigger/report/node_report.hpp"
#include "trigger/report/reporter.hpp"

#include <functional>
#include <vector>

namespace waggle::trigger {

// A query to one node.
struct NodeQuery {
    const NodeAddress& address;
    Connect connect;
    const ssh::Signer& identity;
    const Interrupt& interrupt;
    Reporter& reporter;
};

// Evaluates what a query needs of the selected nodes: their addresses by default, or what the caller needs in addition.
using FindNodes = std::function<std::vector<NodeAddress>(HivePipeline&, const std::vector<std::string>& names)>;

// Connects to the selected nodes in parallel and calls `ask` for each. An exception from `ask` becomes the node's
// outcome. Skips nodes without an agent, with a note. Returns the reports in the order of the nodes, then those of
// nodes whose evaluation failed.
std::vector<NodeReport> ask_nodes(const GlobalOptions& global, const SelectOptions& select,
                                  const ConnectOptions& connect, const Interrupt& interrupt, bool all_allowed,
                                  const std::function<NodeReport(const NodeQuery&)>& ask, const FindNodes& find = {});

// The same with an identity that is already loaded.
std::vector<NodeReport> query_nodes(const Identity& identity, const GlobalOptions& global, const SelectOptions& select,
                                    const ConnectOptions& connect, const Interrupt& interrupt, bool all_allowed,
                                    const std::function<NodeReport(const NodeQuery&)>& ask, const FindNodes& find = {});

// The time limit for an agent's answer.
inline constexpr std::chrono::seconds answer_time{60};

// Receives the next message, which must be an Answer. Throws RefusedByNode, ConnectionLost, TimedOut, BadDocument.
template <class Answer>
Answer receive_answer(Session& session, Deadline deadline) {
    const std::optional<std::string> bytes = session.link.connection->receive(deadline);
    if (!bytes)
        throw net::ConnectionLost("the agent closed the connection before it answered");
    const protocol::Incoming incoming = protocol::decode(*bytes);
    if (const auto* message = std::get_if<protocol::Message>(&incoming)) {
        if (const auto* answer = std::get_if<Answer>(message))
            return *answer;
        if (const auto* refused = std::get_if<protocol::Refused>(message))
            throw RefusedByNode(*refused);
    }
    throw protocol::BadDocument("the agent answered with something that was not asked for");
}

// Sends the request and receives its answer, each within answer_time. Throws what receive_answer throws.
template <class Answer>
Answer request(Session& session, const protocol::Message& message) {
    session.link.connection->send(protocol::encode(message), deadline_in(answer_time));
    return receive_answer<Answer>(session, deadline_in(answer_time));
}

} // namespace waggle::trigger

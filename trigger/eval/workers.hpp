#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/base/process.hpp"
#include "shared/protocol/json.hpp"
#include "trigger/eval/schedule.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::trigger {

// Callbacks while evaluators run, all from the caller's thread.
struct EvaluationEvents {
    std::function<void(std::span<const std::string>)> begins;                // a process for these nodes
    std::function<void(const std::string& node, protocol::Json)> answered;   // as soon as it is evaluated
    std::function<void(const std::string& node, const std::string&)> failed; // with Nix's message
    // The error is in something that all of these nodes depend on, so none of them was evaluated. Called after all
    // others.
    std::function<void(std::span<const std::string>, const std::string&)> failed_together;
    std::function<void(std::span<const std::string>)> ended; // a process that has answered for these nodes
    std::function<void(std::string_view)> line;              // warnings and traces
    std::function<void(std::string_view)> note;              // about the run, for the operator
};

struct WorkersOptions {
    // Returns the command of an evaluator for the nodes, one after the other. As soon as a node is evaluated, it prints
    // a line on standard error: the marker near the start of the line, then {"name": …, "value": …}. Before it
    // evaluates what nodes have in common, it may print {"common": [NODE…]} with these nodes in the same way, and
    // {"common": []} afterwards.
    std::function<Command(std::span<const std::string>, const std::string& marker)> command;
    bool show_trace = false; // together with the errors
};

// Runs evaluators in parallel, as scheduled, until every node has an answer or has failed. Throws Interrupted. Leaves
// no evaluator running, whatever it throws.
void run_workers(Schedule& schedule, const WorkersOptions& options, const EvaluationEvents& events,
                 const Interrupt& interrupt);

} // namespace waggle::trigger

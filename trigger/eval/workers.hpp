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

// What is told while evaluators run, all from the thread that called.
struct EvaluationEvents {
    std::function<void(std::span<const std::string>)> begins;                // a process with these nodes
    std::function<void(const std::string& node, protocol::Json)> answered;   // as soon as it is evaluated
    std::function<void(const std::string& node, const std::string&)> failed; // with Nix's own words
    // What all of these stand on is broken, so none of them was evaluated; told at the end of all others.
    std::function<void(std::span<const std::string>, const std::string&)> failed_together;
    std::function<void(std::span<const std::string>)> ended; // a process, and these have an answer by it
    std::function<void(std::string_view)> line;              // warnings and traces
    std::function<void(std::string_view)> note;              // what a person should know of the run
};

struct WorkersOptions {
    // An evaluator of the nodes, one after the other. It prints a line on standard error for each as soon as it is
    // evaluated: the marker anywhere near the line's begin, then {"name": …, "value": …}. Before it evaluates what
    // nodes have in common it may print {"common": [NODE…]}, these nodes, and after that {"common": []}.
    std::function<Command(std::span<const std::string>, const std::string& marker)> command;
    bool show_trace = false; // with the errors
};

// Runs evaluators side by side, as the schedule says, until every node has an answer or has failed. Throws Interrupted;
// none is left running, whatever is thrown.
void run_workers(Schedule& schedule, const WorkersOptions& options, const EvaluationEvents& events,
                 const Interrupt& interrupt);

} // namespace waggle::trigger

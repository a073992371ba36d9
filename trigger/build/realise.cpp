#include "trigger/build/realise.hpp"

#include "shared/base/process.hpp"
#include "trigger/build/failure.hpp"
#include "trigger/hive/nix_error.hpp"

#include <fmt/format.h>

#include <deque>
#include <optional>
#include <sstream>

namespace waggle::trigger {

namespace {

constexpr auto build_time = std::chrono::hours(24); // a kernel on a slow machine; Nix has its own timeouts for builders
constexpr auto query_time = std::chrono::minutes(5);
constexpr auto copy_time = std::chrono::hours(2); // of sources that may be large, over a slow line

// Returns all derivations that a derivation needs, including itself.
std::set<std::string> needed_derivations(const nix::StorePath& drv, const Interrupt& interrupt) {
    const RunResult result =
        run({.argv = {"nix-store", "--query", "--requisites", drv.absolute()}, .extra_environment = {}},
            {.deadline = deadline_in(query_time), .on_stderr_line = {}, .interrupt = &interrupt});
    std::set<std::string> paths;
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);)
        paths.insert(line);
    return paths;
}

void add_log(const std::string& drv, LogTail& log, const Interrupt& interrupt) {
    const RunResult result = run({.argv = {"nix-store", "--read-log", drv}, .extra_environment = {}},
                                 {.deadline = deadline_in(query_time), .on_stderr_line = {}, .interrupt = &interrupt});
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);)
        log.add(line);
}

std::vector<nix::StorePath> drvs_of(const std::vector<const EvaluatedNode*>& nodes) {
    std::vector<nix::StorePath> drvs;
    for (const EvaluatedNode* node : nodes)
        drvs.push_back(node->drv);
    return drvs;
}

void add_words(Command& command, const std::vector<std::string>& nix_arguments,
               const std::vector<const EvaluatedNode*>& nodes) {
    command.argv.insert(command.argv.end(), nix_arguments.begin(), nix_arguments.end());
    for (const EvaluatedNode* node : nodes)
        command.argv.push_back(node->drv.absolute());
}

// Copies derivations and their sources to the store that builds them. Nix 2.8 fails if another process adds a path that
// is being sent. So this run copies one chunk after the other, and retries in case another run was the cause. Throws
// Error.
void send_derivations(const std::vector<const EvaluatedNode*>& nodes, const std::vector<std::string>& nix_arguments,
                      Store& store, const Interrupt& interrupt, Reporter& reporter) {
    constexpr int tries = 2;
    const auto turn = store.turn_to_copy();
    Command command = store.other()->copy_derivations();
    add_words(command, nix_arguments, nodes);
    for (int i = 1;; ++i) {
        const RunResult result =
            run(command, {.deadline = deadline_in(copy_time),
                          .on_stderr_line = [&](std::string_view line) { reporter.activity(line); },
                          .interrupt = &interrupt});
        reporter.activity("");
        interrupt.check(); // Ctrl-C reaches the child as well
        if (result.status.success())
            return;
        if (i == tries)
            throw Error(explain_store_failure(*store.other(), nix_error(result.err_tail, false)));
    }
}

// Returns where to show a line that Nix prints for these nodes. The line does not say which node it is for. It is shown
// with the node if there is only one, otherwise with the run.
BuildOutputs::Print printer(const std::vector<const EvaluatedNode*>& nodes, Reporter& reporter) {
    if (nodes.size() == 1)
        return [&reporter, name = nodes.front()->name](std::string_view line) { reporter.line(name, line); };
    return [&reporter](std::string_view line) { reporter.activity(line); };
}

// Runs one nix-store for all nodes, as soon as no other build would build what they need.
RunResult build(const std::vector<const EvaluatedNode*>& nodes, const std::vector<std::string>& nix_arguments,
                Store& store, const Interrupt& interrupt, Reporter& reporter) {
    Command command = store.other() ? store.other()->nix_store() : Command{.argv = {"nix-store"}};
    command.argv.insert(command.argv.end(), {"--realise", "--keep-going", "--no-gc-warning"});
    add_words(command, nix_arguments, nodes);

    const BuildTurns::Turn turn = store.turn_to_build(drvs_of(nodes), interrupt);
    const BuildOutputs::Print print = printer(nodes, reporter);
    std::optional<BuildOutputs::Output> output;
    if (reporter.prints_lines())
        output.emplace(store.build_outputs(), print);
    const auto on_line = [&](std::string_view line) { output ? output->line(line) : print(line); };
    RunResult result =
        run(command, {.deadline = deadline_in(build_time), .on_stderr_line = on_line, .interrupt = &interrupt});
    reporter.activity("");
    interrupt.check(); // Ctrl-C reaches the child as well
    return result;
}

BuildFailure failure_of(const ExitStatus& status, const Explanation& why, const Store& store,
                        const Interrupt& interrupt) {
    BuildFailure failure;
    if (status.signal != 0) {
        failure.message = fmt::format("nix-store --realise was {}", status.to_string());
        return failure;
    }
    failure.message = why.text;
    if (!store.other()) // other stores do not provide logs; Nix's message has the last lines
        for (const std::string& drv : why.failed)
            add_log(drv, failure.log, interrupt);
    return failure;
}

} // namespace

std::map<std::string, BuildFailure> realise(std::span<const EvaluatedNode> nodes,
                                            const std::vector<std::string>& nix_arguments, Store& store,
                                            const Interrupt& interrupt, Reporter& reporter) {
    std::vector<nix::StorePath> toplevels;
    for (const EvaluatedNode& node : nodes)
        toplevels.push_back(node.toplevel);
    store.keep(toplevels);
    const std::set<nix::StorePath> there = store.valid(toplevels);

    std::vector<const EvaluatedNode*> to_build;
    for (const EvaluatedNode& node : nodes) {
        if (there.contains(node.toplevel)) {
            reporter.step(node.name, Step::built);
            continue;
        }
        reporter.step(node.name, Step::building);
        to_build.push_back(&node);
    }
    if (store.other() && !to_build.empty()) {
        store.keep(drvs_of(to_build));
        send_derivations(to_build, nix_arguments, store, interrupt, reporter);
    }

    // Nix may abort a whole process because of one derivation that no machine can build, or that is on a builder which
    // is down. It also does not pass --keep-going to a store behind SSH. So nodes that were aborted by another's
    // failure are tried again, one by one if it is unclear whose failure it was.
    std::map<std::string, BuildFailure> failures;
    std::deque<std::vector<const EvaluatedNode*>> parts;
    if (!to_build.empty())
        parts.push_back(std::move(to_build));
    while (!parts.empty()) {
        const std::vector<const EvaluatedNode*> part = std::move(parts.front());
        parts.pop_front();
        const RunResult result = build(part, nix_arguments, store, interrupt, reporter);
        const std::vector<BuildError> errors = build_errors(result.err_tail);
        const std::set<nix::StorePath> built = store.valid(toplevels);
        std::vector<const EvaluatedNode*> given_up;
        for (const EvaluatedNode* node : part) {
            if (built.contains(node->toplevel)) {
                reporter.step(node->name, Step::built);
                continue;
            }
            const Explanation why = explain_failure(errors, needed_derivations(node->drv, interrupt));
            if (why.is_its_own || part.size() == 1)
                failures.emplace(node->name, failure_of(result.status, why, store, interrupt));
            else
                given_up.push_back(node);
        }
        if (given_up.size() == part.size()) {
            for (const EvaluatedNode* node : given_up)
                parts.push_back({node});
        } else if (!given_up.empty()) {
            parts.push_back(std::move(given_up));
        }
    }
    return failures;
}

} // namespace waggle::trigger

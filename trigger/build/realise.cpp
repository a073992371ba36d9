#include "trigger/build/realise.hpp"

#include "shared/base/process.hpp"
#include "trigger/build/failure.hpp"

#include <fmt/format.h>

#include <sstream>

namespace waggle::trigger {

namespace {

constexpr auto build_time =
    std::chrono::hours(24); // a kernel on a slow machine; builders have timeouts of their own in Nix
constexpr auto query_time = std::chrono::minutes(5);

// All derivations that a derivation needs, itself among them.
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

} // namespace

std::map<std::string, BuildFailure> realise(std::span<const EvaluatedNode> nodes,
                                            const std::vector<std::string>& nix_arguments, Store& store,
                                            const Interrupt& interrupt, Reporter& reporter) {
    std::vector<nix::StorePath> toplevels;
    for (const EvaluatedNode& node : nodes)
        toplevels.push_back(node.toplevel);
    store.keep(toplevels);
    const std::set<nix::StorePath> there = store.valid(toplevels);

    Command command{.argv = {"nix-store", "--realise", "--keep-going", "--no-gc-warning"}, .extra_environment = {}};
    command.argv.insert(command.argv.end(), nix_arguments.begin(), nix_arguments.end());
    std::vector<const EvaluatedNode*> to_build;
    for (const EvaluatedNode& node : nodes) {
        if (there.contains(node.toplevel)) {
            reporter.step(node.name, Step::built);
            continue;
        }
        reporter.step(node.name, Step::building);
        to_build.push_back(&node);
        command.argv.push_back(node.drv.absolute());
    }
    if (to_build.empty())
        return {};

    // A line of Nix's does not say for which node it builds: it is shown with the only one, else with the run.
    const auto on_line = [&](std::string_view line) {
        if (to_build.size() == 1)
            reporter.line(to_build.front()->name, line);
        else
            reporter.activity(line);
    };
    const RunResult result =
        run(command, {.deadline = deadline_in(build_time), .on_stderr_line = on_line, .interrupt = &interrupt});
    reporter.activity("");
    interrupt.check(); // Ctrl-C reaches the child as well

    const std::set<nix::StorePath> built = store.valid(toplevels);
    std::map<std::string, BuildFailure> failures;
    for (const EvaluatedNode* node : to_build) {
        if (built.contains(node->toplevel)) {
            reporter.step(node->name, Step::built);
            continue;
        }
        BuildFailure& failure = failures[node->name];
        if (result.status.signal != 0) {
            failure.message = fmt::format("nix-store --realise was {}", result.status.to_string());
            continue;
        }
        const Explanation why =
            explain_failure(build_errors(result.err_tail), needed_derivations(node->drv, interrupt));
        failure.message = why.text;
        for (const std::string& drv : why.failed)
            add_log(drv, failure.log, interrupt);
    }
    return failures;
}

} // namespace waggle::trigger

#include "trigger/command/prepare.hpp"

#include "trigger/build/realise.hpp"
#include "trigger/hive/find.hpp"
#include "trigger/hive/select.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

namespace waggle::trigger {

namespace {

using Clock = std::chrono::steady_clock;

// Adds the time of a scope to a phase, however the scope ends.
class Stopwatch {
public:
    explicit Stopwatch(Clock::duration& total) : total_(total) {}
    Stopwatch(const Stopwatch&) = delete;
    Stopwatch& operator=(const Stopwatch&) = delete;
    ~Stopwatch() { total_ += Clock::now() - began_; }

private:
    Clock::duration& total_;
    Clock::time_point began_ = Clock::now();
};

} // namespace

size_t chunk_limit(const std::string& eval_node_limit) {
    if (eval_node_limit == "auto")
        return automatic_chunk_limit(available_memory_bytes());
    size_t limit = 0;
    const auto [end, error] =
        std::from_chars(eval_node_limit.data(), eval_node_limit.data() + eval_node_limit.size(), limit);
    if (error != std::errc() || end != eval_node_limit.data() + eval_node_limit.size())
        throw Error(fmt::format("--eval-node-limit takes a number or “auto”, not “{}”", eval_node_limit));
    return limit;
}

Preparation::Preparation(const GlobalOptions& global, const SelectOptions& select, const Interrupt& interrupt,
                         Reporter& reporter)
    : select_options_(select), global_(global), interrupt_(interrupt), reporter_(reporter),
      hive_file_(find_hive(global.config, std::filesystem::current_path())),
      evaluator_({.hive_file = hive_file_, .nix = global.nix, .chunk_limit = chunk_limit(select.eval_node_limit)},
                 interrupt, [&reporter](std::string_view line) { reporter.note(line); }) {
    const Stopwatch watch(timings.evaluate);
    info_ = evaluator_.info();
    if (info_.nodes.empty())
        throw Error(fmt::format("the hive {} has no nodes", hive_file_.string()));
}

std::vector<std::string> Preparation::select(bool all_allowed) {
    const Stopwatch watch(timings.evaluate);
    if (!select_options_.on) {
        if (!all_allowed && !info_.allow_apply_all)
            throw Error("this hive does not allow to deploy all nodes at once (meta.allowApplyAll = false): say which "
                        "with --on");
        return info_.nodes;
    }
    const Selector selector = Selector::parse(*select_options_.on);
    std::map<std::string, DeploymentOptions> deployments;
    if (selector.needs_tags())
        deployments = evaluator_.deployments(info_.nodes);
    return selector.select(info_.nodes, deployments);
}

void Preparation::fail(const std::string& node, const std::string& message, LogTail log) {
    NodeReport report;
    report.node = node;
    report.outcome = protocol::Outcome::hive_error;
    report.message = message;
    report.log = std::move(log);
    reporter_.ended(node, report.outcome, message.substr(0, message.find('\n')));
    failed.push_back(std::move(report));
}

std::vector<NodeAddress> Preparation::addresses(const std::vector<std::string>& names) {
    const Stopwatch watch(timings.evaluate);
    for (const std::string& name : names)
        reporter_.step(name, Step::evaluating);
    Evaluated<NodeAddress> evaluated = evaluator_.addresses(names);
    for (const auto& [node, message] : evaluated.failures)
        fail(node, message);
    return std::move(evaluated.nodes);
}

std::vector<DeployedNode> Preparation::keys(const std::vector<std::string>& names) {
    const Stopwatch watch(timings.evaluate);
    for (const std::string& name : names)
        reporter_.step(name, Step::evaluating);
    Evaluated<DeployedNode> evaluated = evaluator_.keys(names);
    for (const auto& [node, message] : evaluated.failures)
        fail(node, message);
    return std::move(evaluated.nodes);
}

EvaluatedKeyTexts Preparation::key_texts(std::span<const NodeAddress* const> nodes) {
    const Stopwatch watch(timings.evaluate);
    std::vector<std::string> names;
    for (const NodeAddress* node : nodes)
        if (std::ranges::any_of(node->deployment.keys, &KeySource::has_text))
            names.push_back(node->name);
    if (names.empty())
        return {};
    return evaluator_.key_texts(names);
}

std::vector<EvaluatedNode> Preparation::evaluate(const std::vector<std::string>& names) {
    const Stopwatch watch(timings.evaluate);
    for (const std::string& name : names)
        reporter_.step(name, Step::waiting);
    const auto begins = [&](std::span<const std::string> chunk) {
        for (const std::string& name : chunk)
            reporter_.step(name, Step::evaluating);
    };
    const auto ended = [&](const Evaluated<EvaluatedNode>& chunk) {
        std::vector<nix::StorePath> drvs;
        for (const EvaluatedNode& node : chunk.nodes) {
            drvs.push_back(node.drv);
            reporter_.step(node.name, Step::waiting);
        }
        store_.keep(drvs);
        for (const auto& [node, message] : chunk.failures)
            fail(node, message);
    };
    return evaluator_.nodes(names, {.chunk_begins = begins, .chunk_ended = ended}).nodes;
}

std::vector<EvaluatedNode> Preparation::build(std::vector<EvaluatedNode> nodes) {
    const Stopwatch watch(timings.build);
    std::map<std::string, BuildFailure> failures =
        realise(nodes, arguments(global_.nix, info_.machines_file), store_, interrupt_, reporter_);
    for (auto& [node, failure] : failures)
        fail(node, failure.message, std::move(failure.log));
    std::erase_if(nodes, [&](const EvaluatedNode& node) { return failures.contains(node.name); });
    return nodes;
}

void Preparation::keep_results(std::span<const EvaluatedNode> nodes) {
    for (const EvaluatedNode& node : nodes)
        store_.add_root(hive_file_.parent_path() / ".gcroots" / ("node-" + node.name), node.toplevel);
}

} // namespace waggle::trigger

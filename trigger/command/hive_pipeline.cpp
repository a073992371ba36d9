#include "trigger/command/hive_pipeline.hpp"

#include "trigger/base/work_queue.hpp"
#include "trigger/build/realise.hpp"
#include "trigger/hive/select.hpp"

#include <algorithm>
#include <iterator>

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

std::vector<std::string> names_of(std::span<const EvaluatedNode> nodes) {
    std::vector<std::string> names;
    for (const EvaluatedNode& node : nodes)
        names.push_back(node.name);
    return names;
}

void show_step(Reporter& reporter, std::span<const std::string> names, Step step) {
    for (const std::string& name : names)
        reporter.step(name, step);
}

} // namespace

HivePipeline::HivePipeline(const GlobalOptions& global, const SelectOptions& select, const Interrupt& interrupt,
                           Reporter& reporter)
    : global_(global), select_options_(select), interrupt_(interrupt), reporter_(reporter),
      hive_(global, select, interrupt, reporter), builds_(build_store(global.nix)), failures_(reporter) {
    timings_.evaluate = hive_.evaluation_time();
}

bool HivePipeline::is_named(const std::string& node) const {
    return select_options_.on && Selector::parse(*select_options_.on).names(node);
}

std::vector<std::string> HivePipeline::select(bool all_allowed) {
    const Stopwatch watch(timings_.evaluate);
    const HiveInfo& info = hive_.info();
    if (!select_options_.on) {
        if (!all_allowed && !info.allow_apply_all)
            throw Error("this hive forbids deploying all nodes at once "
                        "(meta.allowApplyAll = false); select nodes with "
                        "--on");
        return info.nodes;
    }
    const Selector selector = Selector::parse(*select_options_.on);
    if (!selector.needs_tags())
        return selector.select(info.nodes, {});
    const Evaluator::Deployments deployments = hive_.evaluator().deployments(info.nodes);
    fail_evaluation(deployments.failures); // we cannot tell whether the selector includes them
    std::vector<std::string> selected = selector.select(info.nodes, deployments.nodes);
    std::erase_if(selected, [&](const std::string& name) { return deployments.failures.contains(name); });
    return selected;
}

void HivePipeline::fail(const std::string& node, protocol::Outcome outcome, const std::string& message, LogTail log) {
    NodeReport report;
    report.node = node;
    report.outcome = outcome;
    report.message = message;
    report.log = std::move(log);
    failures_.add(std::move(report));
}

void HivePipeline::fail_evaluation(const std::map<std::string, std::string>& messages) {
    for (const auto& [node, message] : messages)
        fail(node, protocol::Outcome::hive_error, message);
}

std::vector<NodeAddress> HivePipeline::addresses(const std::vector<std::string>& names) {
    const Stopwatch watch(timings_.evaluate);
    show_step(reporter_, names, Step::evaluating);
    Evaluated<NodeAddress> evaluated = hive_.evaluator().addresses(names);
    fail_evaluation(evaluated.failures);
    return std::move(evaluated.nodes);
}

std::vector<DeployedNode> HivePipeline::keys(const std::vector<std::string>& names) {
    const Stopwatch watch(timings_.evaluate);
    show_step(reporter_, names, Step::evaluating);
    Evaluated<DeployedNode> evaluated = hive_.evaluator().keys(names);
    fail_evaluation(evaluated.failures);
    return std::move(evaluated.nodes);
}

EvaluatedKeyTexts HivePipeline::key_texts(std::span<const NodeAddress* const> nodes) {
    std::vector<std::string> names;
    for (const NodeAddress* node : nodes)
        if (std::ranges::any_of(node->deployment.keys, &KeySource::has_text))
            names.push_back(node->name);
    if (names.empty())
        return {};
    return hive_.evaluator().key_texts(names);
}

HivePipeline::Nodes HivePipeline::evaluate(const std::vector<std::string>& names) {
    return evaluate(names, [](auto) {});
}

HivePipeline::Nodes HivePipeline::evaluate(const std::vector<std::string>& names,
                                           const std::function<void(Nodes)>& chunk_ended) {
    const Stopwatch watch(timings_.evaluate);
    show_step(reporter_, names, Step::waiting);
    const auto begins = [&](std::span<const std::string> chunk) { show_step(reporter_, chunk, Step::evaluating); };
    const auto keep = [&](std::span<const nix::StorePath> drvs) {
        hive_.derivations().keep(drvs);
        return hive_.derivations().valid(drvs);
    };
    const auto ended = [&](const Evaluated<EvaluatedNode>& chunk) {
        show_step(reporter_, names_of(chunk.nodes), Step::waiting);
        fail_evaluation(chunk.failures);
        if (!chunk.nodes.empty())
            chunk_ended(chunk.nodes);
    };
    return hive_.evaluator().nodes(names, {.chunk_begins = begins, .keep = keep, .chunk_ended = ended}).nodes;
}

void HivePipeline::evaluate_and_build(const std::vector<std::string>& names,
                                      const std::function<void(Nodes&)>& leave_out,
                                      const std::function<void(Nodes)>& built) {
    builds_.open();               // otherwise minutes of evaluation would be wasted
    constexpr size_t chunks = 16; // the store allows fewer builds at a time; the other chunks wait for these
    const auto build_chunk = [&](Nodes chunk) {
        std::vector<std::string> at_stake = names_of(chunk);
        try {
            Nodes done = chunk.front().deployment.build_on_target ? std::move(chunk) : build(std::move(chunk));
            at_stake = names_of(done);
            if (!done.empty())
                built(std::move(done));
        } catch (const Interrupted&) {
            return; // the caller notices the interrupt as well
        } catch (const std::exception& error) {
            for (const std::string& name : at_stake)
                fail(name, protocol::Outcome::hive_error, error.what());
        }
    };
    WorkQueue queue(chunks);
    evaluate(names, [&](Nodes chunk) {
        leave_out(chunk);
        const auto there = std::ranges::stable_partition(
            chunk, [](const EvaluatedNode& node) { return !node.deployment.build_on_target; });
        Nodes themselves(std::make_move_iterator(there.begin()), std::make_move_iterator(there.end()));
        chunk.erase(there.begin(), there.end());
        for (Nodes* part : {&chunk, &themselves})
            if (!part->empty())
                queue.add([&build_chunk, nodes = std::move(*part)] { build_chunk(nodes); });
    });
    queue.finish();
    interrupt_.check();
}

HivePipeline::Nodes HivePipeline::build(Nodes nodes) {
    const auto began = Clock::now();
    std::map<std::string, BuildFailure> failures =
        realise(nodes, arguments(global_.nix, hive_.info().machines_file), builds_, interrupt_, reporter_);
    for (auto& [node, failure] : failures)
        fail(node, protocol::Outcome::build_failed, failure.message, std::move(failure.log));
    std::erase_if(nodes, [&](const EvaluatedNode& node) { return failures.contains(node.name); });
    const std::scoped_lock lock(timing_);
    timings_.build = std::max(timings_.build, Clock::now() - began);
    return nodes;
}

} // namespace waggle::trigger

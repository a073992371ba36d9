#include "trigger/command/prepare.hpp"

#include "trigger/base/work_queue.hpp"
#include "trigger/build/realise.hpp"
#include "trigger/command/evaluation_limits.hpp"
#include "trigger/eval/eval_cache.hpp"
#include "trigger/eval/eval_key.hpp"
#include "trigger/hive/git_revision.hpp"
#include "trigger/hive/module_folder.hpp"
#include "trigger/hive/select.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
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

std::vector<std::string> names_of(std::span<const EvaluatedNode> nodes) {
    std::vector<std::string> names;
    for (const EvaluatedNode& node : nodes)
        names.push_back(node.name);
    return names;
}

EvalCache open_cache(const HiveSource& source, const NixOptions& nix, const SelectOptions& select,
                     const Interrupt& interrupt) {
    const std::optional<std::filesystem::path> folder = eval_cache_folder();
    if (!source.lock || !select.eval_cache || !folder)
        return {};
    const std::optional<std::string> key = eval_key(*source.lock, nix, nixos_module_folder(), interrupt);
    return key ? EvalCache(*folder, *key) : EvalCache();
}

} // namespace

Preparation::Preparation(const GlobalOptions& global, const SelectOptions& select, const Interrupt& interrupt,
                         Reporter& reporter)
    : select_options_(select), global_(global), interrupt_(interrupt), reporter_(reporter),
      source_(
          open_hive(global.config, global.nix, interrupt, [&reporter](std::string_view line) { reporter.note(line); })),
      cache_(std::make_unique<EvalCache>(open_cache(source_, global.nix, select, interrupt))),
      evaluator_({.source = source_, .nix = global.nix, .limits = evaluation_limits(select)}, *cache_, interrupt,
                 [&reporter](std::string_view line) { reporter.note(line); }),
      builds_(build_store(global.nix)) {
    const Stopwatch watch(timings.evaluate);
    if (!source_.keep.empty())
        store_.keep(source_.keep);
    info_ = evaluator_.info();
    if (info_.nodes.empty())
        throw Error(fmt::format("the hive {} has no nodes", source_.shown));
}

std::optional<protocol::GitRevision> Preparation::git() const {
    if (source_.git)
        return source_.git;
    return git_revision(source_.folder, [&](std::string_view text) { reporter_.note(text); });
}

Preparation::~Preparation() {
    cache_->save(); // including what was evaluated before an error
}

std::vector<std::string> Preparation::select(bool all_allowed) {
    const Stopwatch watch(timings.evaluate);
    if (!select_options_.on) {
        if (!all_allowed && !info_.allow_apply_all)
            throw Error("this hive forbids deploying all nodes at once (meta.allowApplyAll = false); select nodes with "
                        "--on");
        return info_.nodes;
    }
    const Selector selector = Selector::parse(*select_options_.on);
    if (!selector.needs_tags())
        return selector.select(info_.nodes, {});
    const Evaluator::Deployments deployments = evaluator_.deployments(info_.nodes);
    for (const auto& [node, message] : deployments.failures)
        fail(node, message); // we cannot tell whether the selector includes it
    std::vector<std::string> selected = selector.select(info_.nodes, deployments.nodes);
    std::erase_if(selected, [&](const std::string& name) { return deployments.failures.contains(name); });
    return selected;
}

bool Preparation::is_named(const std::string& node) const {
    return select_options_.on && Selector::parse(*select_options_.on).names(node);
}

void Preparation::fail(const std::string& node, protocol::Outcome outcome, const std::string& message, LogTail log) {
    NodeReport report;
    report.node = node;
    report.outcome = outcome;
    report.message = message;
    report.log = std::move(log);
    reporter_.ended(node, report.outcome, message.substr(0, message.find('\n')));
    const std::scoped_lock lock(mutex_);
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
    std::vector<std::string> names;
    for (const NodeAddress* node : nodes)
        if (std::ranges::any_of(node->deployment.keys, &KeySource::has_text))
            names.push_back(node->name);
    if (names.empty())
        return {};
    return evaluator_.key_texts(names);
}

std::vector<EvaluatedNode> Preparation::evaluate(const std::vector<std::string>& names) {
    return evaluate(names, [](auto) {});
}

Preparation::Nodes Preparation::evaluate(const std::vector<std::string>& names,
                                         const std::function<void(Nodes)>& chunk_ended) {
    const Stopwatch watch(timings.evaluate);
    for (const std::string& name : names)
        reporter_.step(name, Step::waiting);
    const auto begins = [&](std::span<const std::string> chunk) {
        for (const std::string& name : chunk)
            reporter_.step(name, Step::evaluating);
    };
    const auto keep = [&](std::span<const nix::StorePath> drvs) {
        store_.keep(drvs);
        return store_.valid(drvs);
    };
    const auto ended = [&](const Evaluated<EvaluatedNode>& chunk) {
        for (const EvaluatedNode& node : chunk.nodes)
            reporter_.step(node.name, Step::waiting);
        for (const auto& [node, message] : chunk.failures)
            fail(node, message);
        if (!chunk.nodes.empty())
            chunk_ended(chunk.nodes);
    };
    return evaluator_.nodes(names, {.chunk_begins = begins, .keep = keep, .chunk_ended = ended}).nodes;
}

void Preparation::evaluate_and_build(const std::vector<std::string>& names,
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
                fail(name, error.what());
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

Preparation::Nodes Preparation::build(Nodes nodes) {
    const auto began = Clock::now();
    std::map<std::string, BuildFailure> failures =
        realise(nodes, arguments(global_.nix, info_.machines_file), builds_, interrupt_, reporter_);
    for (auto& [node, failure] : failures)
        fail(node, protocol::Outcome::build_failed, failure.message, std::move(failure.log));
    std::erase_if(nodes, [&](const EvaluatedNode& node) { return failures.contains(node.name); });
    const std::scoped_lock lock(mutex_);
    timings.build = std::max(timings.build, Clock::now() - began);
    return nodes;
}

} // namespace waggle::trigger

#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/build/store.hpp"
#include "trigger/command/opened_hive.hpp"
#include "trigger/command/options.hpp"
#include "trigger/eval/evaluate.hpp"
#include "trigger/report/node_failures.hpp"
#include "trigger/report/node_report.hpp"
#include "trigger/report/reporter.hpp"
#include "trigger/report/timings.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace waggle::trigger {

// The steps that subcommands share, from the hive to built systems. A node that fails in one of them is reported and
// left out of what the step returns; the others continue.
class HivePipeline {
public:
    using Nodes = std::vector<EvaluatedNode>;

    // Opens the hive. Throws Error.
    HivePipeline(const GlobalOptions& global, const SelectOptions& select, const Interrupt& interrupt,
                 Reporter& reporter);

    const OpenedHive& hive() const { return hive_; }
    // The store in which systems are built.
    Store& store() { return builds_; }

    // Whether --on selects the node by its name, and not only by a glob or a tag.
    bool is_named(const std::string& node) const;
    // Returns the nodes that --on selects; without --on all nodes, unless the hive forbids that and `all_allowed` is
    // false.
    std::vector<std::string> select(bool all_allowed);

    std::vector<NodeAddress> addresses(const std::vector<std::string>& names);
    // Evaluates the nodes with their deployment.keys.
    std::vector<DeployedNode> keys(const std::vector<std::string>& names);
    // Evaluates the secrets that are written in the hive. Evaluates nothing for nodes without any. May be called from
    // any thread.
    EvaluatedKeyTexts key_texts(std::span<const NodeAddress* const> nodes);
    Nodes evaluate(const std::vector<std::string>& names);
    // Evaluates, and meanwhile builds what is already evaluated. Nodes that `leave_out` removes from a chunk are not
    // built, and neither are those that build their own systems (deployment.build_on_target). `built` receives the
    // built nodes and those, separately, from several threads. Returns when everything is done.
    void evaluate_and_build(const std::vector<std::string>& names, const std::function<void(Nodes&)>& leave_out,
                            const std::function<void(Nodes)>& built);

    // Reports the node as failed. May be called from any thread.
    void fail(const std::string& node, protocol::Outcome outcome, const std::string& message, LogTail log = {});
    // Returns the reports of the nodes that have failed in calls that have returned.
    std::vector<NodeReport> take_failures() { return failures_.take(); }
    // The time that the calls took which have returned.
    const Timings& timings() const { return timings_; }

private:
    void fail_evaluation(const std::map<std::string, std::string>& messages);
    Nodes evaluate(const std::vector<std::string>& names, const std::function<void(Nodes)>& chunk_ended);
    Nodes build(Nodes nodes);

    const GlobalOptions& global_;
    const SelectOptions& select_options_;
    const Interrupt& interrupt_;
    Reporter& reporter_;
    OpenedHive hive_;
    Store builds_;
    NodeFailures failures_;
    std::mutex timing_; // guards timings_.build
    Timings timings_;
};

} // namespace waggle::trigger

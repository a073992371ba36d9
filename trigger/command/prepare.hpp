#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/build/store.hpp"
#include "trigger/command/options.hpp"
#include "trigger/eval/evaluate.hpp"
#include "trigger/report/node_report.hpp"
#include "trigger/report/reporter.hpp"
#include "trigger/report/timings.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace waggle::trigger {

// The steps that subcommands share, from the hive to built systems. Nodes that fail on the way are in `failed`; the
// others go on.
class Preparation {
public:
    // Finds the hive and evaluates what it says of itself. Throws Error.
    Preparation(const GlobalOptions& global, const SelectOptions& select, const Interrupt& interrupt,
                Reporter& reporter);
    Preparation(const Preparation&) = delete;
    Preparation& operator=(const Preparation&) = delete;
    ~Preparation();

    const HiveInfo& info() const { return info_; }
    // What is checked out where the hive is.
    std::optional<protocol::GitRevision> git() const;
    // Whether --on names the node, and not only by a glob or a tag.
    bool is_named(const std::string& node) const;
    // The nodes that --on means; without --on all, unless that is refused (`all_allowed`).
    std::vector<std::string> select(bool all_allowed);

    std::vector<NodeAddress> addresses(const std::vector<std::string>& names);
    // With their deployment.keys.
    std::vector<DeployedNode> keys(const std::vector<std::string>& names);
    // The secrets that are written in the hive; nothing is evaluated for nodes without any. From any thread.
    EvaluatedKeyTexts key_texts(std::span<const NodeAddress* const> nodes);
    std::vector<EvaluatedNode> evaluate(const std::vector<std::string>& names);
    // Evaluates, and builds what is evaluated while the rest still is. Nodes that `leave_out` takes out of a chunk are
    // not built, nor are those that build their systems themselves (deployment.build_on_target); what was built and
    // these, each apart, go to `built`, from several threads. Returns when all is done.
    using Nodes = std::vector<EvaluatedNode>;
    void evaluate_and_build(const std::vector<std::string>& names, const std::function<void(Nodes&)>& leave_out,
                            const std::function<void(Nodes)>& built);
    // GC roots beside the hive, .gcroots/node-NAME; of a build store on another machine, there. Not of systems that
    // their nodes built.
    void keep_results(std::span<const EvaluatedNode> nodes);

    // Reports the node as failed.
    void fail(const std::string& node, protocol::Outcome outcome, const std::string& message, LogTail log = {});

    // In which systems are built.
    Store& store() { return builds_; }
    Evaluator& evaluator() { return evaluator_; }
    const HiveSource& source() const { return source_; }
    std::vector<NodeReport> failed; // complete when the call that failed them has returned
    Timings timings;

private:
    Nodes evaluate(const std::vector<std::string>& names, const std::function<void(Nodes)>& chunk_ended);
    Nodes build(Nodes nodes);
    void fail(const std::string& node, const std::string& message) {
        fail(node, protocol::Outcome::hive_error, message);
    }

    const SelectOptions& select_options_;
    const GlobalOptions& global_;
    const Interrupt& interrupt_;
    Reporter& reporter_;
    HiveSource source_;
    const std::unique_ptr<EvalCache> cache_;
    Evaluator evaluator_;
    HiveInfo info_;
    Store store_;      // with the hive's derivations
    Store builds_;     // with the nodes' systems
    std::mutex mutex_; // failed, timings.build
};

// --build-store. Throws Error.
std::optional<BuildStore> build_store(const NixOptions& nix);
// Says of each node whether it builds its system itself: as `on_target` or else the hive has it, where there is an
// agent to be asked.
void choose_builders(std::vector<EvaluatedNode>& nodes, std::optional<bool> on_target);

// What the command line says of evaluators. Throws Error.
EvaluationLimits evaluation_limits(const SelectOptions& options);

} // namespace waggle::trigger

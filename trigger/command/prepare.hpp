#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/build/gc_roots.hpp"
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

// The steps that subcommands share, from the hive to built systems. Nodes that fail in one of them are in `failed`; the
// others continue.
class Preparation {
public:
    // Finds the hive and evaluates its own properties. Throws Error.
    Preparation(const GlobalOptions& global, const SelectOptions& select, const Interrupt& interrupt,
                Reporter& reporter);
    Preparation(const Preparation&) = delete;
    Preparation& operator=(const Preparation&) = delete;
    ~Preparation();

    const HiveInfo& info() const { return info_; }
    // The revision that is checked out in the hive's folder, or that of a flake from elsewhere.
    std::optional<protocol::GitRevision> git() const;
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
    std::vector<EvaluatedNode> evaluate(const std::vector<std::string>& names);
    // Evaluates, and meanwhile builds what is already evaluated. Nodes that `leave_out` removes from a chunk are not
    // built, and neither are those that build their own systems (deployment.build_on_target). `built` receives the
    // built nodes and those, separately, from several threads. Returns when everything is done.
    using Nodes = std::vector<EvaluatedNode>;
    void evaluate_and_build(const std::vector<std::string>& names, const std::function<void(Nodes&)>& leave_out,
                            const std::function<void(Nodes)>& built);
    // Reports the node as failed.
    void fail(const std::string& node, protocol::Outcome outcome, const std::string& message, LogTail log = {});

    // The store in which systems are built.
    Store& store() { return builds_; }
    Evaluator& evaluator() { return evaluator_; }
    const HiveSource& source() const { return source_; }
    RootsOwner roots_owner() const { return {.folder = source_.folder, .name = info_.name}; }
    std::vector<NodeReport> failed; // complete for a call when it has returned
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
    Store store_;      // has the hive's derivations
    Store builds_;     // has the nodes' systems
    std::mutex mutex_; // guards failed and timings.build
};

} // namespace waggle::trigger

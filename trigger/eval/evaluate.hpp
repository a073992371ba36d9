#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/base/process.hpp"
#include "shared/protocol/json.hpp"
#include "trigger/eval/schedule.hpp"
#include "trigger/eval/workers.hpp"
#include "trigger/hive/hive.hpp"
#include "trigger/hive/nix_options.hpp"
#include "trigger/hive/source.hpp"
#include "trigger/secrets/read_secrets.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::trigger {

class EvalCache;

template <class T>
struct Evaluated {
    std::vector<T> nodes;                        // in the order of the names
    std::map<std::string, std::string> failures; // message by node
};

// Evaluates a hive through nixos-module/source.nix, with nix-instantiate as child processes.
class Evaluator {
public:
    struct Options {
        HiveSource source;
        NixOptions nix;
        EvaluationLimits limits;
    };
    // Receives each warning and trace that Nix prints, once.
    using OnLine = std::function<void(std::string_view)>;

    // Does not evaluate again what is in the cache, and adds new results to it.
    Evaluator(Options options, EvalCache& cache, const Interrupt& interrupt, OnLine on_line);

    // Throws EvaluationError, for instance if the hive has a syntax error.
    HiveInfo info();
    // The options of the nodes without their systems, which is cheap. The failures are those of nodes that cannot be
    // evaluated.
    struct Deployments {
        std::map<std::string, DeploymentOptions> nodes;
        std::map<std::string, std::string> failures; // message by node
    };
    Deployments deployments(std::span<const std::string> names);
    // Evaluates the names and addresses of the nodes' agents, but no toplevel.
    Evaluated<NodeAddress> addresses(std::span<const std::string> names);
    // Evaluates the same and deployment.keys, and checks them.
    Evaluated<DeployedNode> keys(std::span<const std::string> names);
    // Evaluates the secrets that are written in the hive. May be called from any thread, like `evaluate`.
    EvaluatedKeyTexts key_texts(std::span<const std::string> names);
    struct Progress {
        std::function<void(std::span<const std::string>)> chunk_begins;
        // Makes GC roots for the derivations, and returns those that exist.
        std::function<std::set<nix::StorePath>(std::span<const nix::StorePath>)> keep;
        // Receives nodes that are ready for the next step, and nodes that have failed.
        std::function<void(const Evaluated<EvaluatedNode>&)> chunk_ended;
    };
    // Evaluates the nodes to their derivations, in as many processes as fit into memory. Calls back from this thread.
    Evaluated<EvaluatedNode> nodes(std::span<const std::string> names, const Progress& progress);

    // Returns the command for an expression of the hive, in which the hive is named `hive`.
    enum class Mode { evaluate, instantiate };
    Command command(const std::string& expression, Mode mode = Mode::evaluate) const;
    // Returns the expression's value as JSON. Throws EvaluationError.
    protocol::Json evaluate(const std::string& expression);

private:
    void say_once(std::string_view line);
    void read_key_texts(std::span<const std::string> names, EvaluatedKeyTexts& texts);
    // Evaluates `value`, an expression of `hive` and `names`, to a set with an attribute for each name.
    void run(std::vector<std::string> names, const std::string& value, EvaluationLimits limits,
             const EvaluationEvents& events);
    // The same if no node is needed before the others. Each answer goes to `take`; if that throws Error, the node has
    // failed.
    void run(std::vector<std::string> names, const std::string& value, EvaluationLimits limits,
             const std::function<void(const std::string& node, const protocol::Json&)>& take,
             std::map<std::string, std::string>& failures);

    Options options_;
    EvalCache& cache_;
    const Interrupt& interrupt_;
    OnLine on_line_;
    std::optional<std::string> machines_file_;
    std::mutex saying_; // guards lines_seen_
    std::set<std::string> lines_seen_;
};

} // namespace waggle::trigger

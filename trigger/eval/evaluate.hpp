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
    std::map<std::string, std::string> failures; // node, message
};

// Evaluates a hive with child nix-instantiate processes, by way of nixos-module/source.nix.
class Evaluator {
public:
    struct Options {
        HiveSource source;
        NixOptions nix;
        EvaluationLimits limits;
    };
    // Warnings and traces that Nix prints, each once.
    using OnLine = std::function<void(std::string_view)>;

    // What is in the cache is not evaluated again; what is evaluated goes there.
    Evaluator(Options options, EvalCache& cache, const Interrupt& interrupt, OnLine on_line);

    // Throws EvaluationError, as when the hive has a syntax error.
    HiveInfo info();
    // Without their systems, which is cheap. The failures are those of nodes that cannot be looked at.
    struct Deployments {
        std::map<std::string, DeploymentOptions> nodes;
        std::map<std::string, std::string> failures; // node, message
    };
    Deployments deployments(std::span<const std::string> names);
    // Who to ask for and where; no toplevel is evaluated.
    Evaluated<NodeAddress> addresses(std::span<const std::string> names);
    // Their deployment.keys as well, checked.
    Evaluated<DeployedNode> keys(std::span<const std::string> names);
    // The secrets that are written in the hive. From any thread, as `evaluate`.
    EvaluatedKeyTexts key_texts(std::span<const std::string> names);
    struct Progress {
        std::function<void(std::span<const std::string>)> chunk_begins;
        // Roots the derivations, and says which of them are there.
        std::function<std::set<nix::StorePath>(std::span<const nix::StorePath>)> keep;
        // Nodes that may go on, and others that have failed.
        std::function<void(const Evaluated<EvaluatedNode>&)> chunk_ended;
    };
    // To their derivations, in as many processes as there is room for. Calls back from this thread.
    Evaluated<EvaluatedNode> nodes(std::span<const std::string> names, const Progress& progress);

    // The program and its arguments for an expression of the hive, which is called `hive` there.
    enum class Mode { evaluate, instantiate };
    Command command(const std::string& expression, Mode mode = Mode::evaluate) const;
    // Its JSON. Throws EvaluationError.
    protocol::Json evaluate(const std::string& expression);

private:
    void say_once(std::string_view line);
    void read_key_texts(std::span<const std::string> names, EvaluatedKeyTexts& texts);
    // Evaluates `value`, an expression of `hive` and `names`, to an attribute for each name.
    void run(std::vector<std::string> names, const std::string& value, EvaluationLimits limits,
             const EvaluationEvents& events);
    // The same where nobody waits for one node before the others: each answer is taken, or the node has failed.
    void run(std::vector<std::string> names, const std::string& value, EvaluationLimits limits,
             const std::function<void(const std::string& node, const protocol::Json&)>& take,
             std::map<std::string, std::string>& failures);

    Options options_;
    EvalCache& cache_;
    const Interrupt& interrupt_;
    OnLine on_line_;
    std::optional<std::string> machines_file_;
    std::mutex saying_; // lines_seen_
    std::set<std::string> lines_seen_;
};

} // namespace waggle::trigger

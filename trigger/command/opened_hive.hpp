#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/build/gc_roots.hpp"
#include "trigger/build/store.hpp"
#include "trigger/command/options.hpp"
#include "trigger/eval/eval_cache.hpp"
#include "trigger/eval/evaluate.hpp"
#include "trigger/hive/hive.hpp"
#include "trigger/hive/source.hpp"
#include "trigger/report/reporter.hpp"

#include <chrono>
#include <optional>

namespace waggle::trigger {

// The hive of a run, its own properties, and the evaluator of its nodes.
class OpenedHive {
public:
    // Finds the hive and evaluates its own properties, but no node. Throws Error.
    OpenedHive(const GlobalOptions& global, const SelectOptions& select, const Interrupt& interrupt,
               Reporter& reporter);
    OpenedHive(const OpenedHive&) = delete;
    OpenedHive& operator=(const OpenedHive&) = delete;
    // Saves the results of the evaluations in the cache, including those before an error.
    ~OpenedHive();

    const HiveSource& source() const { return source_; }
    const HiveInfo& info() const { return info_; }
    // The revision that is checked out in the hive's folder, or that of a flake from elsewhere.
    std::optional<protocol::GitRevision> git() const;

    // Whose GC roots the systems of this hive get.
    RootsOwner roots_owner() const { return {.folder = source_.folder, .name = info_.name}; }

    Evaluator& evaluator() { return evaluator_; }
    // The store with the hive's derivations, which is this machine's.
    Store& derivations() { return derivations_; }
    // How long the evaluation of the hive's own properties took.
    std::chrono::steady_clock::duration evaluation_time() const { return evaluation_time_; }

private:
    Reporter& reporter_;
    HiveSource source_;
    EvalCache cache_;
    Evaluator evaluator_;
    Store derivations_;
    HiveInfo info_;
    std::chrono::steady_clock::duration evaluation_time_{};
};

} // namespace waggle::trigger

#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/build/store.hpp"
#include "trigger/command/options.hpp"
#include "trigger/hive/evaluate.hpp"
#include "trigger/report/node_report.hpp"
#include "trigger/report/reporter.hpp"
#include "trigger/report/timings.hpp"

#include <filesystem>
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

    const HiveInfo& info() const { return info_; }
    const std::filesystem::path& hive_file() const { return hive_file_; }
    // The nodes that --on means; without --on all, unless that is refused (`all_allowed`).
    std::vector<std::string> select(bool all_allowed);

    std::vector<NodeAddress> addresses(const std::vector<std::string>& names);
    // With their deployment.keys.
    std::vector<DeployedNode> keys(const std::vector<std::string>& names);
    // The secrets that are written in the hive; nothing is evaluated for nodes without any.
    EvaluatedKeyTexts key_texts(std::span<const NodeAddress* const> nodes);
    std::vector<EvaluatedNode> evaluate(const std::vector<std::string>& names);
    // Only those that were built.
    std::vector<EvaluatedNode> build(std::vector<EvaluatedNode> nodes);
    // GC roots beside the hive: .gcroots/node-NAME.
    void keep_results(std::span<const EvaluatedNode> nodes);

    Store& store() { return store_; }
    std::vector<NodeReport> failed;
    Timings timings;

private:
    void fail(const std::string& node, const std::string& message, LogTail log = {});

    const SelectOptions& select_options_;
    const GlobalOptions& global_;
    const Interrupt& interrupt_;
    Reporter& reporter_;
    std::filesystem::path hive_file_;
    Evaluator evaluator_;
    HiveInfo info_;
    Store store_;
};

// "auto" or a number. Throws Error.
size_t chunk_limit(const std::string& eval_node_limit);

} // namespace waggle::trigger

#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/build/store.hpp"
#include "trigger/hive/hive.hpp"
#include "trigger/report/node_report.hpp"
#include "trigger/report/reporter.hpp"

#include <map>
#include <span>
#include <string>
#include <vector>

namespace waggle::trigger {

struct BuildFailure {
    std::string message;
    LogTail log; // of the builders that failed
};

// Builds the toplevels of all nodes with one nix-store, or with more if some fail. Returns the failures by node. Keeps
// what was built during this run.
std::map<std::string, BuildFailure> realise(std::span<const EvaluatedNode> nodes,
                                            const std::vector<std::string>& nix_arguments, Store& store,
                                            const Interrupt& interrupt, Reporter& reporter);

} // namespace waggle::trigger

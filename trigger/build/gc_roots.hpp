#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/build/store.hpp"
#include "trigger/hive/hive.hpp"

#include <filesystem>
#include <span>
#include <string>

namespace waggle::trigger {

// The hive whose systems get GC roots.
struct RootsOwner {
    std::filesystem::path folder;
    std::string name; // distinguishes hives that use the same build store
};

// Makes GC roots in the hive's folder, .gcroots/node-NAME. For a build store behind SSH, makes them there, in
// waggle-gcroots/HIVE/node-NAME. Skips systems that their nodes built. Throws Error.
void keep_results(std::span<const EvaluatedNode> nodes, Store& store, const RootsOwner& hive,
                  const Interrupt& interrupt);

} // namespace waggle::trigger

#include "trigger/build/gc_roots.hpp"

#include <fmt/format.h>

#include <chrono>

namespace waggle::trigger {

namespace {

constexpr auto root_time = std::chrono::minutes(2);

void add_root_by_ssh(const BuildStore& store, const std::string& hive, const EvaluatedNode& node,
                     const Interrupt& interrupt) {
    const RunResult result = run(store.add_root(hive, node.name, node.toplevel),
                                 {.deadline = deadline_in(root_time), .on_stderr_line = {}, .interrupt = &interrupt});
    interrupt.check();
    if (!result.status.success())
        throw Error(
            fmt::format("--keep-result: no GC root for {} could be made in {}, which requires a shell there: {}",
                        node.name, store.url(), result.err_tail));
}

} // namespace

void keep_results(std::span<const EvaluatedNode> nodes, Store& store, const RootsOwner& hive,
                  const Interrupt& interrupt) {
    for (const EvaluatedNode& node : nodes) {
        if (node.deployment.build_on_target)
            continue;
        if (store.other() && store.other()->is_by_ssh())
            add_root_by_ssh(*store.other(), hive.name, node, interrupt);
        else
            store.add_root(hive.folder / ".gcroots" / ("node-" + node.name), node.toplevel);
    }
}

} // namespace waggle::trigger

#include "trigger/command/build.hpp"

#include "trigger/build/choose_builders.hpp"
#include "trigger/build/gc_roots.hpp"
#include "trigger/command/build_on_nodes.hpp"
#include "trigger/command/hive_pipeline.hpp"
#include "trigger/command/result.hpp"
#include "trigger/report/escape.hpp"
#include "trigger/report/summary.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <mutex>

namespace waggle::trigger {

int build(const GlobalOptions& global, const BuildCommandOptions& command, const Interrupt& interrupt) {
    const BuildOptions& options = command.build;
    std::unique_ptr<Reporter> reporter = make_reporter(global);
    HivePipeline pipeline(global, options.select, interrupt, *reporter);
    const std::vector<std::string> names = pipeline.select(true);
    std::vector<EvaluatedNode> nodes;
    std::vector<NodeReport> failed;
    if (options.dry_run) {
        nodes = pipeline.evaluate(names);
        choose_builders(nodes, options.on_target);
        for (const EvaluatedNode& node : nodes)
            if (node.deployment.build_on_target)
                reporter->note(fmt::format("{} would be built on the node itself", node.name));
    } else {
        std::mutex mutex;
        NodesThatBuild there(command.connect, pipeline.store(), interrupt, *reporter);
        pipeline.evaluate_and_build(
            names, [&](auto& chunk) { choose_builders(chunk, options.on_target); },
            [&](std::vector<EvaluatedNode> built) {
                const std::scoped_lock lock(mutex);
                if (built.front().deployment.build_on_target)
                    return there.add(std::move(built));
                nodes.insert(nodes.end(), std::make_move_iterator(built.begin()), std::make_move_iterator(built.end()));
            });
        failed = there.finish(nodes);
        std::sort(nodes.begin(), nodes.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
        if (options.keep_result)
            keep_results(nodes, pipeline.store(), pipeline.hive().roots_owner(), interrupt);
    }
    std::ranges::move(pipeline.take_failures(), std::back_inserter(failed));
    sort_by_node(failed);
    for (const EvaluatedNode& node : nodes)
        if (!node.deployment.build_on_target || options.dry_run) // the others were reported before
            reporter->ended(node.name, protocol::Outcome::ok, "");
    reporter.reset();

    if (options.timings)
        write_timings(*options.timings, pipeline.timings(), {});
    if (global.json) {
        NodeDetails details;
        for (const EvaluatedNode& node : nodes)
            details[node.name] = {{"drv", node.drv.absolute()}, {"toplevel", node.toplevel.absolute()}};
        return print_json_result("build", failed, details);
    }

    // Standard output is for scripts: one line per node, nothing else.
    size_t width = 0;
    for (const EvaluatedNode& node : nodes)
        width = std::max(width, columns(node.name));
    for (const EvaluatedNode& node : nodes)
        fmt::print("{} {}\n", padded(node.name, width), (options.dry_run ? node.drv : node.toplevel).absolute());
    return conclude_on_stderr(global, failed);
}

Subcommand build_subcommand(CLI::App& waggle) {
    const auto options = std::make_shared<BuildCommandOptions>();
    CLI::App& app = add_subcommand(waggle, "build", group::deploy, "Evaluate and build, then print each node's system");
    add_build_options(app, options->build);
    add_connect_options(app, options->connect);
    add_upload_limit_option(app, options->connect);
    app.add_flag("--dry-run", options->build.dry_run, "Stop after the evaluation and print the derivations");
    return make_subcommand(app, options, build);
}

} // namespace waggle::trigger

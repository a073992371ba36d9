#include "trigger/command/nodes.hpp"

#include "trigger/command/hive_pipeline.hpp"
#include "trigger/command/result.hpp"
#include "trigger/report/escape.hpp"
#include "trigger/report/summary.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace waggle::trigger {

using protocol::Json;

namespace {

Json to_json(const NodeAddress& node) {
    const DeploymentOptions& deployment = node.deployment;
    Json json = {{"tags", deployment.tags},
                 {"system", node.system},
                 {"host", nullptr},
                 {"port", deployment.agent_port},
                 {"via", deployment.agent_via_ssh ? "ssh" : "direct"}};
    if (deployment.target_host)
        json["host"] = *deployment.target_host;
    return json;
}

} // namespace

int nodes(const GlobalOptions& global, const NodesOptions& options, const Interrupt& interrupt) {
    std::unique_ptr<Reporter> reporter = make_reporter(global);
    HivePipeline pipeline(global, options.select, interrupt, *reporter);
    const std::vector<NodeAddress> found = pipeline.addresses(pipeline.select(true));
    reporter.reset();
    std::vector<NodeReport> failed = pipeline.take_failures();
    sort_by_node(failed);

    if (global.json) {
        NodeDetails details;
        for (const NodeAddress& node : found)
            details[node.name] = to_json(node);
        return print_json_result("nodes", failed, details);
    }
    std::vector<std::vector<std::string>> rows;
    for (const NodeAddress& node : found) {
        const std::string tags =
            node.deployment.tags.empty() ? "-" : fmt::format("{}", fmt::join(node.deployment.tags, " "));
        std::string hosts = node.deployment.target_host.value_or("-");
        for (const std::string& other : node.deployment.other_hosts)
            hosts += ", " + other;
        rows.push_back({printable(node.name), printable(tags), printable(hosts), printable(node.system)});
    }
    fmt::print("{}", format_table({{"NODE"}, {"TAGS"}, {"HOST"}, {"SYSTEM"}}, rows));
    return conclude_on_stderr(global, failed);
}

Subcommand nodes_subcommand(CLI::App& waggle) {
    const auto options = std::make_shared<NodesOptions>();
    CLI::App& app = add_subcommand(waggle, "nodes", group::hive, "List the hive's nodes");
    add_select_options(app, options->select);
    return make_subcommand(app, options, nodes);
}

} // namespace waggle::trigger

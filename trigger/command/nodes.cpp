#include "trigger/command/nodes.hpp"

#include "trigger/command/prepare.hpp"
#include "trigger/report/escape.hpp"
#include "trigger/report/summary.hpp"
#include "trigger/report/terminal.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cstdio>

namespace waggle::trigger {

using protocol::Json;

namespace {

Json to_json(const NodeAddress& node) {
    const DeploymentOptions& deployment = node.deployment;
    Json json = {
        {"name", node.name}, {"tags", deployment.tags},       {"system", node.system},
        {"host", nullptr},   {"port", deployment.agent_port}, {"via", deployment.agent_via_ssh ? "ssh" : "direct"}};
    if (deployment.target_host)
        json["host"] = *deployment.target_host;
    return json;
}

} // namespace

int nodes(const GlobalOptions& global, const NodesOptions& options, const Interrupt& interrupt) {
    std::unique_ptr<Reporter> reporter = make_reporter(global.verbose, use_color(global.color, stderr_is_terminal()));
    Preparation preparation(global, options.select, interrupt, *reporter);
    const std::vector<NodeAddress> found = preparation.addresses(preparation.select(true));
    reporter.reset();
    sort_by_node(preparation.failed);

    if (options.json) {
        Json list = Json::array();
        for (const NodeAddress& node : found)
            list.push_back(to_json(node));
        fmt::print("{}\n", protocol::dump_json(list));
    } else {
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
    }
    std::fflush(stdout);
    if (!preparation.failed.empty())
        fmt::print(stderr, "{}", format_failures(preparation.failed, use_color(global.color, stderr_is_terminal())));
    return protocol::exit_code(worst_outcome(preparation.failed));
}

} // namespace waggle::trigger

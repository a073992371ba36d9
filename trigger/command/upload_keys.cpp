#include "trigger/command/upload_keys.hpp"

#include "trigger/command/ask.hpp"
#include "trigger/command/result.hpp"
#include "trigger/deploy/deploy_node.hpp"
#include "trigger/secrets/secret_reader.hpp"

#include <CLI/CLI.hpp>

#include <map>
#include <optional>

namespace waggle::trigger {

int upload_keys(const GlobalOptions& global, const UploadKeysOptions& options, const Interrupt& interrupt) {
    disable_core_dumps();
    std::map<std::string, DeployedNode> nodes;
    std::optional<SecretReader> reader;
    std::optional<protocol::GitRevision> git;
    const auto find = [&](HivePipeline& pipeline, const std::vector<std::string>& names) {
        auto recovery_recipients = parse_recovery_recipients(pipeline.hive().info().recovery_recipients);
        std::vector<NodeAddress> addresses;
        std::vector<const NodeAddress*> pointers;
        for (DeployedNode& node : pipeline.keys(names)) {
            const auto [found, is_new] = nodes.emplace(node.name, std::move(node));
            addresses.push_back(found->second);
            pointers.push_back(&found->second);
        }
        reader.emplace(pipeline.key_texts(pointers), std::move(recovery_recipients), interrupt);
        git = pipeline.hive().git();
        return addresses;
    };
    const auto upload = [&](const NodeQuery& asked) {
        DeployedNode node = nodes.at(asked.address.name);
        node.deployment = asked.address.deployment;
        return deploy_node(node, {.goal = protocol::Goal::upload_keys, .force = options.force, .git = git},
                           {.connect = asked.connect,
                            .toplevel = std::nullopt,
                            .closure = {},
                            .nar_reader = [] { return Store().nar_reader(); }, // nothing is read with it
                            .identity = asked.identity,
                            .interrupt = asked.interrupt,
                            .reporter = asked.reporter,
                            .limits = {},
                            .secrets = [&] { return (*reader)(node); }});
    };
    const auto reports = ask_nodes(global, options.select, options.connect, interrupt, false, upload, find);
    if (global.json)
        return print_json_result("upload-keys", reports);
    return print_summary(global, reports);
}

Subcommand upload_keys_subcommand(CLI::App& waggle) {
    const auto options = std::make_shared<UploadKeysOptions>();
    CLI::App& app =
        add_subcommand(waggle, "upload-keys", group::deploy, "Send the nodes their secrets and nothing else");
    options->connect.parallel = 0;
    add_select_options(app, options->select);
    add_connect_options(app, options->connect);
    app.add_flag("--force", options->force, "Proceed even if another operator has deployed in the meantime");
    return make_subcommand(app, options, upload_keys);
}

} // namespace waggle::trigger

#include "trigger/command/apply.hpp"

#include "trigger/command/build.hpp"
#include "trigger/command/prepare.hpp"
#include "trigger/command/upload_keys.hpp"
#include "trigger/deploy/identity.hpp"
#include "trigger/deploy/rollout.hpp"
#include "trigger/hive/git_revision.hpp"
#include "trigger/report/summary.hpp"
#include "trigger/report/terminal.hpp"
#include "trigger/secrets/secret_reader.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>

namespace waggle::trigger {

namespace {

// Leaves out the nodes that no agent is asked to deploy, and says so.
std::vector<EvaluatedNode> deployable(std::vector<EvaluatedNode> nodes, Reporter& reporter) {
    std::erase_if(nodes, [&](const EvaluatedNode& node) {
        const bool no_host = !node.deployment.target_host;
        const bool skipped = no_host || !node.deployment.agent_enable;
        if (skipped)
            reporter.note(fmt::format("{} is skipped: deployment.{}", node.name,
                                      no_host ? "targetHost is null" : "agent.enable is false"));
        return skipped;
    });
    return nodes;
}

} // namespace

int apply(const GlobalOptions& global, const ApplyOptions& options, const Interrupt& interrupt) {
    if (options.goal == protocol::Goal::build)
        return build(global, options.build, interrupt);
    if (options.goal == protocol::Goal::upload_keys)
        return upload_keys(global, {options.build.select, options.connect, options.force}, interrupt);

    // What is missing on this side is said before anything that takes time.
    const Identity identity = load_identity(options.connect.identity, IdentityPlaces::of_this_process());
    KnownHostsFiles known_hosts(options.connect.known_hosts);

    std::unique_ptr<Reporter> reporter = make_reporter(global.verbose, use_color(global.color, stderr_is_terminal()));
    if (identity.warning)
        reporter->note(*identity.warning);
    Preparation preparation(global, options.build.select, interrupt, *reporter);
    const auto recovery_recipients = parse_recovery_recipients(preparation.info().recovery_recipients);
    std::vector<EvaluatedNode> nodes = preparation.evaluate(preparation.select(false));
    nodes = preparation.build(deployable(std::move(nodes), *reporter));
    if (options.build.keep_result)
        preparation.keep_results(nodes);

    std::map<std::string, DeploymentOptions> targets;
    for (EvaluatedNode& node : nodes) {
        node.deployment.agent_via_ssh = options.connect.via_ssh.value_or(node.deployment.agent_via_ssh);
        targets[node.name] = node.deployment;
    }
    std::function<NodeSecrets(const NodeAddress&)> secrets;
    if (!options.no_keys && protocol::takes_secrets(options.goal)) {
        disable_core_dumps();
        std::vector<const NodeAddress*> addresses;
        for (const EvaluatedNode& node : nodes)
            addresses.push_back(&node);
        secrets = SecretReader(preparation.key_texts(addresses), recovery_recipients, interrupt);
    }
    const RolloutPlan plan{.intent = {.goal = options.goal,
                                      .force = options.force,
                                      .remove_agent = options.remove_agent,
                                      .no_rollback = options.no_rollback,
                                      .reboot = options.reboot             ? protocol::Reboot::always
                                                : options.reboot_if_needed ? protocol::Reboot::if_needed
                                                                           : protocol::Reboot::never,
                                      .git = git_revision(preparation.hive_file().parent_path(),
                                                          [&](std::string_view text) { reporter->note(text); })},
                           .parallel = options.connect.parallel,
                           .pins = find_pins(targets, known_hosts),
                           .secrets = std::move(secrets)};
    std::vector<NodeReport> reports =
        roll_out(nodes, plan, preparation.store(), *identity.signer, interrupt, *reporter);
    reports.insert(reports.end(), preparation.failed.begin(), preparation.failed.end());
    std::sort(reports.begin(), reports.end(), [](const auto& a, const auto& b) { return a.node < b.node; });

    reporter.reset(); // the last state stays on the screen, above the table
    const bool color = use_color(global.color, ::isatty(STDOUT_FILENO) == 1);
    fmt::print("{}{}", stderr_is_terminal() ? "\n" : "", format_summary(reports, color));
    std::fflush(stdout);
    if (options.build.timings)
        write_timings(*options.build.timings, preparation.timings, reports);
    return protocol::exit_code(worst_outcome(reports));
}

} // namespace waggle::trigger

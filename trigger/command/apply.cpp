#include "trigger/command/apply.hpp"

#include "trigger/command/build.hpp"
#include "trigger/command/prepare.hpp"
#include "trigger/command/upload_keys.hpp"
#include "trigger/connect/identity.hpp"
#include "trigger/deploy/rollout.hpp"
#include "trigger/report/summary.hpp"
#include "trigger/report/terminal.hpp"
#include "trigger/secrets/secret_reader.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <set>

namespace waggle::trigger {

using protocol::Outcome;

namespace {

// Leaves out the nodes that no agent is asked to deploy, says so, and adds them to `skipped`.
// One that is asked for by its name has failed.
void leave_out_undeployable(std::vector<EvaluatedNode>& nodes, Preparation& preparation, Reporter& reporter,
                            std::set<std::string>& skipped) {
    std::erase_if(nodes, [&](const EvaluatedNode& node) {
        const bool no_host = !node.deployment.target_host;
        if (!no_host && node.deployment.agent_enable)
            return false;
        const std::string reason = no_host ? "deployment.targetHost is null" : "deployment.agent.enable is false";
        if (preparation.is_named(node.name))
            preparation.fail(
                node.name, Outcome::hive_error,
                fmt::format("it cannot be deployed: {}; `waggle build --on {}` builds it", reason, node.name));
        else
            reporter.note(fmt::format("{} is skipped: {}", node.name, reason));
        skipped.insert(node.name);
        return true;
    });
}

std::vector<const NodeAddress*> addresses_of(const std::vector<EvaluatedNode>& nodes) {
    std::vector<const NodeAddress*> addresses;
    for (const EvaluatedNode& node : nodes)
        addresses.push_back(&node);
    return addresses;
}

// Those that were meant to be deployed when somebody stopped the run, and never came so far.
void add_untouched(const std::vector<std::string>& names, const std::set<std::string>& skipped,
                   std::vector<NodeReport>& reports) {
    std::set<std::string> known = skipped;
    for (const NodeReport& report : reports)
        known.insert(report.node);
    for (const std::string& name : names) {
        if (known.contains(name))
            continue;
        NodeReport report;
        report.node = name;
        report.outcome = protocol::Outcome::interrupted;
        report.message = "nothing was sent to it";
        reports.push_back(std::move(report));
    }
}

} // namespace

int apply(const GlobalOptions& global, const ApplyOptions& options, const Interrupt& interrupt) {
    if (options.goal == protocol::Goal::build)
        return build(global, {options.build, options.connect}, interrupt);
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
    const bool sends_secrets = !options.no_keys && protocol::takes_secrets(options.goal);
    if (sends_secrets)
        disable_core_dumps();
    const std::vector<std::string> names = preparation.select(false);
    require_fitting(options.connect.reach, names.size());
    Rollout rollout({.intent = {.goal = options.goal,
                                .force = options.force,
                                .remove_agent = options.remove_agent,
                                .no_rollback = options.no_rollback,
                                .replace_unknown_profiles = options.replace_unknown_profiles,
                                .reset_state = options.reset_state,
                                .install_boot_loader = options.install_boot_loader,
                                .reboot = options.reboot             ? protocol::Reboot::always
                                          : options.reboot_if_needed ? protocol::Reboot::if_needed
                                                                     : protocol::Reboot::never,
                                .git = preparation.git()},
                     .parallel = options.connect.parallel,
                     .reach = options.connect.reach},
                    known_hosts, preparation.store(), *identity.signer, interrupt, *reporter);
    std::set<std::string> skipped;
    bool stopped = false;
    std::atomic<bool> began = false; // to deploy
    try {
        preparation.evaluate_and_build(
            names,
            [&](std::vector<EvaluatedNode>& chunk) {
                leave_out_undeployable(chunk, preparation, *reporter, skipped);
                choose_builders(chunk, options.build.on_target);
            },
            [&](std::vector<EvaluatedNode> built) {
                began = true;
                if (options.build.keep_result)
                    preparation.keep_results(built);
                Rollout::ReadSecrets secrets;
                if (sends_secrets)
                    secrets = SecretReader(preparation.key_texts(addresses_of(built)), recovery_recipients, interrupt);
                rollout.add(std::move(built), secrets);
            });
    } catch (const Interrupted&) {
        if (!began)
            throw;
        stopped = true;
    }
    std::vector<NodeReport> reports = rollout.finish();
    reports.insert(reports.end(), preparation.failed.begin(), preparation.failed.end());
    if (stopped)
        add_untouched(names, skipped, reports);
    sort_by_node(reports);

    reporter.reset(); // the last state stays on the screen, above the table
    const bool color = use_color(global.color, ::isatty(STDOUT_FILENO) == 1);
    fmt::print("{}{}", stderr_is_terminal() ? "\n" : "", format_summary(reports, color));
    std::fflush(stdout);
    if (options.build.timings)
        write_timings(*options.build.timings, preparation.timings, reports);
    return protocol::exit_code(worst_outcome(reports));
}

} // namespace waggle::trigger

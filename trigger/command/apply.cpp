#include "trigger/command/apply.hpp"

#include "shared/base/enum_text.hpp"
#include "trigger/base/nearest_word.hpp"
#include "trigger/build/choose_builders.hpp"
#include "trigger/build/gc_roots.hpp"
#include "trigger/command/build.hpp"
#include "trigger/command/hive_pipeline.hpp"
#include "trigger/command/result.hpp"
#include "trigger/command/upload_keys.hpp"
#include "trigger/connect/identity.hpp"
#include "trigger/deploy/rollout.hpp"
#include "trigger/report/summary.hpp"
#include "trigger/report/terminal.hpp"
#include "trigger/secrets/secret_reader.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::trigger {

using protocol::Outcome;

namespace {

// Removes the nodes that no agent can deploy, reports why, and adds them to `skipped`. A node that --on selects by its
// name has failed.
void leave_out_undeployable(std::vector<EvaluatedNode>& nodes, HivePipeline& pipeline, Reporter& reporter,
                            std::set<std::string>& skipped) {
    std::erase_if(nodes, [&](const EvaluatedNode& node) {
        const bool no_host = !node.deployment.target_host;
        if (!no_host && node.deployment.agent_enable)
            return false;
        const std::string reason = no_host ? "deployment.targetHost is null" : "deployment.agent.enable is false";
        if (pipeline.is_named(node.name))
            pipeline.fail(
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

// Adds reports for the selected nodes that were not yet reached when the operator stopped the run.
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

struct GoalHelp {
    protocol::Goal goal;
    std::string_view meaning;
};
constexpr std::array goals = {
    GoalHelp{protocol::Goal::switch_, "activate now and make it the boot default (the default goal)"},
    GoalHelp{protocol::Goal::boot, "start it once at the next boot, and keep it if it is healthy"},
    GoalHelp{protocol::Goal::test, "activate now; the next boot is the previous system"},
    GoalHelp{protocol::Goal::dry_activate, "show what an activation would do"},
    GoalHelp{protocol::Goal::push, "copy the system to the nodes, and nothing else"},
    GoalHelp{protocol::Goal::build, "build the systems, and nothing else"},
    GoalHelp{protocol::Goal::upload_keys, "send the secrets, and nothing else"},
};
static_assert(has_each_once(goals, &GoalHelp::goal, protocol::Goal::upload_keys));

std::string goals_help() {
    std::string text = "Goals:";
    for (const GoalHelp& help : goals)
        text += fmt::format("\n  {:<14} {}", protocol::to_string(help.goal), help.meaning);
    return text;
}

// Sets the goal. Throws Error for an unknown goal, and for options that do not go with it.
void check_apply_options(const CLI::App& app, const std::string& goal_word, ApplyOptions& options) {
    const std::optional<protocol::Goal> goal = protocol::parse_goal(goal_word);
    if (!goal) {
        const std::string meant = did_you_mean(goal_word, goal_words());
        throw Error(fmt::format("there is no goal “{}”{}\nThe goals are {}.", goal_word,
                                meant.empty() ? suggest_on(app, goal_word) : meant, fmt::join(goal_words(), ", ")));
    }
    options.goal = *goal;
    if (options.no_keys && options.goal == protocol::Goal::upload_keys)
        throw Error("--no-keys leaves nothing to do for the goal upload-keys");
    if ((options.reboot || options.reboot_if_needed) && !protocol::sets_profile(options.goal))
        throw Error(fmt::format("--reboot goes with the goals switch and boot, not with {}", goal_word));
    if (options.install_boot_loader && !protocol::sets_profile(options.goal))
        throw Error(fmt::format("--install-bootloader goes with the goals switch and boot, not with {}", goal_word));
}

} // namespace

std::vector<std::string> goal_words() {
    std::vector<std::string> words;
    for (const GoalHelp& help : goals)
        words.emplace_back(protocol::to_string(help.goal));
    return words;
}

int apply(const GlobalOptions& global, const ApplyOptions& options, const Interrupt& interrupt) {
    if (options.goal == protocol::Goal::build)
        return build(global, {options.build, options.connect}, interrupt);
    if (options.goal == protocol::Goal::upload_keys)
        return upload_keys(global, {options.build.select, options.connect, options.force}, interrupt);

    // Report what is missing on this machine before anything that takes time.
    const Identity identity = load_identity(options.connect.identity, IdentityPlaces::of_this_process());
    KnownHostsFiles known_hosts(options.connect.known_hosts);

    std::unique_ptr<Reporter> reporter = make_reporter(global);
    if (identity.warning)
        reporter->note(*identity.warning);
    HivePipeline pipeline(global, options.build.select, interrupt, *reporter);
    const OpenedHive& hive = pipeline.hive();
    const auto recovery_recipients = parse_recovery_recipients(hive.info().recovery_recipients);
    const bool sends_secrets = !options.no_keys && protocol::takes_secrets(options.goal);
    if (sends_secrets)
        disable_core_dumps();
    const std::vector<std::string> names = pipeline.select(false);
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
                                .git = hive.git()},
                     .parallel = options.connect.parallel,
                     .reach = options.connect.reach,
                     .upload_limit = options.connect.upload_limit},
                    known_hosts, pipeline.store(), *identity.signer, interrupt, *reporter);
    std::set<std::string> skipped;
    bool stopped = false;
    std::atomic<bool> began = false; // to deploy; otherwise nothing was sent
    try {
        pipeline.evaluate_and_build(
            names,
            [&](std::vector<EvaluatedNode>& chunk) {
                leave_out_undeployable(chunk, pipeline, *reporter, skipped);
                choose_builders(chunk, options.build.on_target);
            },
            [&](std::vector<EvaluatedNode> built) {
                began = true;
                if (options.build.keep_result)
                    keep_results(built, pipeline.store(), hive.roots_owner(), interrupt);
                Rollout::ReadSecrets secrets;
                if (sends_secrets)
                    secrets = SecretReader(pipeline.key_texts(addresses_of(built)), recovery_recipients, interrupt);
                rollout.add(std::move(built), secrets);
            });
    } catch (const Interrupted&) {
        if (!began)
            throw;
        stopped = true;
    }
    std::vector<NodeReport> reports = rollout.finish();
    std::ranges::move(pipeline.take_failures(), std::back_inserter(reports));
    if (stopped)
        add_untouched(names, skipped, reports);
    sort_by_node(reports);

    reporter.reset(); // the last state stays on the screen, above the table
    if (options.build.timings)
        write_timings(*options.build.timings, pipeline.timings(), reports);
    if (global.json)
        return print_json_result("apply", reports, {}, {{"goal", protocol::to_string(options.goal)}});
    fmt::print("{}", stderr_is_terminal() ? "\n" : "");
    return print_summary(global, reports);
}

Subcommand apply_subcommand(CLI::App& waggle) {
    const auto options = std::make_shared<ApplyOptions>();
    const auto goal = std::make_shared<std::string>("switch");
    CLI::App& app = add_subcommand(waggle, "apply", group::deploy, "Evaluate, build and deploy the hive's nodes");
    app.add_option("goal", *goal)->type_name("GOAL");
    app.footer(goals_help());
    add_build_options(app, options->build);
    add_connect_options(app, options->connect);
    add_upload_limit_option(app, options->connect);
    app.add_flag("--force", options->force, "Deploy even if another operator has deployed in the meantime");
    app.add_flag("--remove-agent", options->remove_agent,
                 "Allow a system without the agent (this node can then no longer be deployed to)");
    app.add_flag("--no-keys", options->no_keys, "Send no secrets; the nodes keep the ones they have");
    app.add_flag("--no-rollback", options->no_rollback, "Do not roll back, even if the new system fails");
    app.add_flag("--force-replace-unknown-profiles", options->replace_unknown_profiles,
                 "Ignore deployment.replaceUnknownProfiles = false");
    app.add_flag("--reset-state", options->reset_state, "Let a node discard a state file that it cannot read");
    app.add_flag("--install-bootloader", options->install_boot_loader,
                 "Install the boot loader itself, not only its menu");
    auto* always = app.add_flag("--reboot", options->reboot, "Reboot into the new system");
    app.add_flag("--reboot-if-needed", options->reboot_if_needed,
                 "Reboot only if the kernel, the initrd or kernel modules have changed")
        ->excludes(always);
    Subcommand subcommand = make_subcommand(app, options, apply);
    subcommand.check = [&app, options, goal] { check_apply_options(app, *goal, *options); };
    return subcommand;
}

} // namespace waggle::trigger

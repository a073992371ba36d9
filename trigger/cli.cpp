#include "trigger/cli.hpp"

#include "shared/protocol/history.hpp"
#include "trigger/base/interrupt_on_signals.hpp"
#include "trigger/base/nearest_word.hpp"
#include "trigger/command/apply.hpp"
#include "trigger/command/build.hpp"
#include "trigger/command/check_health.hpp"
#include "trigger/command/confirm.hpp"
#include "trigger/command/eval.hpp"
#include "trigger/command/history.hpp"
#include "trigger/command/keys.hpp"
#include "trigger/command/nodes.hpp"
#include "trigger/command/reboot.hpp"
#include "trigger/command/repl.hpp"
#include "trigger/command/rollback.hpp"
#include "trigger/command/status.hpp"
#include "trigger/command/upload_keys.hpp"
#include "trigger/command/whoami.hpp"
#include "trigger/help.hpp"
#include "trigger/report/escape.hpp"
#include "trigger/report/format.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <sstream>
#include <string_view>

namespace waggle::trigger {

namespace {

constexpr int usage_error = 2;
constexpr size_t asked_at_once = 200; // nodes that do not answer hold up few others

struct GoalHelp {
    std::string_view goal;
    std::string_view meaning;
};
constexpr std::array goals = {
    GoalHelp{"switch", "activate now and make it the boot default (the default goal)"},
    GoalHelp{"boot", "start it once at the next boot, and keep it if it is healthy"},
    GoalHelp{"test", "activate now; the next boot is the previous system"},
    GoalHelp{"dry-activate", "show what an activation would do"},
    GoalHelp{"push", "copy the system to the nodes, and nothing else"},
    GoalHelp{"build", "build the systems, and nothing else"},
    GoalHelp{"upload-keys", "send the secrets, and nothing else"},
};

std::vector<std::string> goal_words() {
    std::vector<std::string> words;
    for (const GoalHelp& help : goals)
        words.emplace_back(help.goal);
    return words;
}

std::string goals_help() {
    std::string text = "Goals:";
    for (const GoalHelp& help : goals)
        text += fmt::format("\n  {:<14} {}", help.goal, help.meaning);
    return text;
}

class Parser {
public:
    Parser() {
        app_.formatter(help_formatter()); // first: subcommands inherit it
        app_.footer("Example:\n"
                    "  waggle apply --on @web,db1    deploy the nodes with the tag web, and the node db1\n\n"
                    "`waggle COMMAND --help` lists a command's options. The manual begins with "
                    "docs/getting-started.md.");
        app_.require_subcommand(1);
        app_.set_version_flag("--version", "waggle " WAGGLE_VERSION);
        app_.fallthrough();
        add_global_options();
        add_apply();
        add_build();
        add_confirm();
        add_rollback();
        add_reboot();
        add_upload_keys();
        add_status();
        add_history();
        add_check_health();
        add_keys();
        add_whoami();
        add_nodes();
        add_eval();
        add_repl();
    }

    std::variant<CommandLine, Usage> parse(int argc, const char* const* argv) {
        if (argc <= 1)
            return Usage{.exit_code = 0, .text = app_.help()};
        try {
            app_.parse(argc, argv);
            return finish();
        } catch (const CLI::Success& success) { // --help, --version
            std::ostringstream out;
            app_.exit(success, out, out);
            return Usage{.exit_code = 0, .text = out.str()};
        } catch (const CLI::ExtrasError&) {
            return Usage{.exit_code = usage_error, .text = unknown_word()};
        } catch (const CLI::RequiredError&) {
            return Usage{.exit_code = usage_error, .text = first_word_problem(argc, argv)};
        } catch (const CLI::ParseError& error) {
            return Usage{.exit_code = usage_error, .text = error.what()};
        } catch (const Error& error) {
            return Usage{.exit_code = usage_error, .text = error.what()};
        }
    }

private:
    static constexpr const char* deploying = "Deploy";
    static constexpr const char* asking = "Ask the nodes";
    static constexpr const char* hive_only = "Look into the hive";

    CLI::App* command(const std::string& name, const std::string& group, const std::string& description) {
        CLI::App* app = app_.add_subcommand(name, description);
        app->group(group);
        return app;
    }

    void add_global_options() {
        app_.add_option(
                "-f,--config", line_.global.config,
                "The hive: a file, a directory with a flake.nix or hive.nix, or a flake reference; append #OUTPUT to "
                "select a flake output (default: search this directory and its parents)")
            ->type_name("HIVE");
        app_.add_flag("--show-trace", line_.global.nix.show_trace, "Show where evaluation errors come from");
        app_.add_flag("--impure", line_.global.nix.impure,
                      "Let a flake depend on this machine: paths, environment, time");
        app_.add_option("--option,--nix-option", line_.global.nix.options, "Pass a setting to Nix; may be repeated")
            ->type_name("NAME VALUE")
            ->allow_extra_args(false);
        app_.add_option("--builders", line_.global.nix.builders,
                        "Remote builders, in the format of Nix's option of the same name (default: meta.machinesFile)")
            ->type_name("SPEC");
        app_.add_option(
                "--build-store", line_.global.nix.build_store,
                "Build in another Nix store, such as ssh-ng://HOST; results stay there and are copied to the nodes "
                "from there")
            ->type_name("URL");
        app_.add_option("--color", color_, "auto, always or never (default: auto)")->type_name("WHEN");
        app_.add_flag("-v,--verbose", line_.global.verbose,
                      "Print every event on its own line instead of the live display");
    }

    static void add_select_options(CLI::App& app, SelectOptions& select) {
        app.add_option_function<std::vector<std::string>>(
               "--on",
               [&select](const std::vector<std::string>& rules) {
                   select.on = fmt::format("{}", fmt::join(rules, ","));
               },
               "Select nodes by name, glob or @tag; a,b: either, a&b: both, !a: exclude; may be repeated (default: "
               "all)")
            ->type_name("NODES")
            ->allow_extra_args(false);
        app.add_option("--eval-node-limit", select.eval_node_limit,
                       "Nodes to evaluate in one process: a number, 0 for all, or auto")
            ->type_name("N");
        app.add_option(
               "--eval-memory", select.eval_memory,
               "Memory for all evaluators together: 4G, 800M, or a share of the available memory (default: 80%)")
            ->type_name("SIZE");
        app.add_option("--eval-workers", select.eval_workers, "Evaluators to run at a time (default: one per core)")
            ->type_name("N")
            ->check(CLI::Range(0, 1024));
        app.add_flag("!--no-eval-cache", select.eval_cache, "Ignore the evaluation cache");
    }

    static void add_build_options(CLI::App& app, BuildOptions& build) {
        add_select_options(app, build.select);
        app.add_flag("--keep-result", build.keep_result,
                     "Keep each system as a GC root, .gcroots/node-NAME next to the hive");
        add_on_target_options(app, build);
        app.add_option("--timings", build.timings, "Write the duration of each phase to a file, as JSON")
            ->type_name("FILE");
    }

    static void add_on_target_options(CLI::App& app, BuildOptions& build) {
        auto* there = app.add_flag_callback(
            "--build-on-target", [&build] { build.on_target = true; },
            "Build each system on its own node (default: deployment.buildOnTarget)");
        app.add_flag_callback(
               "--no-build-on-target", [&build] { build.on_target = false; },
               "Build all systems on this machine, even with deployment.buildOnTarget = true")
            ->excludes(there);
    }

    static void add_connect_options(CLI::App& app, ConnectOptions& connect) {
        app.add_option("-p,--parallel", connect.parallel,
                       connect.parallel == 0 ? "Nodes at a time (default: all)"
                                             : fmt::format("Nodes at a time (default: {}; 0: all)", connect.parallel))
            ->type_name("N")
            ->check(CLI::Range(0, 100'000));
        app.add_option("--identity", connect.identity,
                       "The operator's SSH key, or its .pub file when the ssh-agent holds it (default: "
                       "~/.ssh/id_ed25519, else the "
                       "ssh-agent's only Ed25519 key)")
            ->type_name("FILE");
        app.add_option("--known-hosts", connect.known_hosts,
                       "File with host keys; may be repeated (default: the files that ssh would use for the host)")
            ->type_name("FILE")
            ->allow_extra_args(false);
        app.add_option_function<std::string>(
               "--via", [&connect](const std::string& way) { connect.reach.via_ssh = way == "ssh"; },
               "How to reach the agents: direct, or ssh (default: deployment.agent.via)")
            ->type_name("WAY")
            ->check(CLI::IsMember({"direct", "ssh"}));
        app.add_option("--rename", connect.reach.former_node,
                       "The node's name in its running configuration, if the hive renames it")
            ->type_name("OLD-NODE");
        app.add_option("--rename-hive", connect.reach.former_hive,
                       "The hive's name in the nodes' running configurations, if meta.name has changed")
            ->type_name("OLD-HIVE");
    }

    void add_apply() {
        apply_app_ = command("apply", deploying, "Evaluate, build and deploy the hive's nodes");
        apply_app_->add_option("goal", goal_)->type_name("GOAL");
        apply_app_->footer(goals_help());
        add_build_options(*apply_app_, apply_.build);
        add_connect_options(*apply_app_, apply_.connect);
        apply_app_->add_flag("--force", apply_.force, "Deploy even if another operator has deployed in the meantime");
        apply_app_->add_flag("--remove-agent", apply_.remove_agent,
                             "Allow a system without the agent (this node can then no longer be deployed to)");
        apply_app_->add_flag("--no-keys", apply_.no_keys, "Send no secrets; the nodes keep the ones they have");
        apply_app_->add_flag("--no-rollback", apply_.no_rollback, "Do not roll back, even if the new system fails");
        apply_app_->add_flag("--force-replace-unknown-profiles", apply_.replace_unknown_profiles,
                             "Ignore deployment.replaceUnknownProfiles = false");
        apply_app_->add_flag("--reset-state", apply_.reset_state,
                             "Let a node discard a state file that it cannot read");
        apply_app_->add_flag("--install-bootloader", apply_.install_boot_loader,
                             "Install the boot loader itself, not only its menu");
        auto* always = apply_app_->add_flag("--reboot", apply_.reboot, "Reboot into the new system");
        apply_app_
            ->add_flag("--reboot-if-needed", apply_.reboot_if_needed,
                       "Reboot only if the kernel, the initrd or kernel modules have changed")
            ->excludes(always);
    }

    void add_upload_keys() {
        upload_keys_app_ = command("upload-keys", deploying, "Send the nodes their secrets and nothing else");
        upload_keys_.connect.parallel = 0;
        add_select_options(*upload_keys_app_, upload_keys_.select);
        add_connect_options(*upload_keys_app_, upload_keys_.connect);
        upload_keys_app_->add_flag("--force", upload_keys_.force,
                                   "Proceed even if another operator has deployed in the meantime");
    }

    void add_keys() {
        keys_app_ = command("keys", asking, "Show the status of each node's secrets (never their contents)");
        add_select_options(*keys_app_, keys_.select);
        keys_.connect.parallel = asked_at_once;
        add_connect_options(*keys_app_, keys_.connect);
    }

    void add_build() {
        build_app_ = command("build", deploying, "Evaluate and build, then print each node's system");
        add_build_options(*build_app_, build_.build);
        add_connect_options(*build_app_, build_.connect);
        build_app_->add_flag("--dry-run", build_.build.dry_run, "Stop after the evaluation and print the derivations");
    }

    void add_status() {
        status_app_ = command("status", asking, "Show what the nodes run");
        add_select_options(*status_app_, status_.select);
        status_.connect.parallel = asked_at_once;
        add_connect_options(*status_app_, status_.connect);
    }

    void add_check_health() {
        check_health_app_ = command("check-health", asking, "Run the health checks on the nodes");
        add_select_options(*check_health_app_, check_health_.select);
        check_health_.connect.parallel = asked_at_once;
        add_connect_options(*check_health_app_, check_health_.connect);
    }

    void add_eval() {
        eval_app_ =
            command("eval", hive_only, "Evaluate a function of { pkgs, lib, nodes } and print its result as JSON");
        eval_app_->alias("introspect");
        eval_app_
            ->add_option("-E,--expr", eval_.expression,
                         "The function, such as { nodes, ... }: nodes.a.config.networking.hostName")
            ->type_name("EXPR");
        eval_app_->add_option("file", eval_.file, "A file with the function")->type_name("FILE");
        eval_app_->add_flag("--instantiate", eval_.instantiate,
                            "Instantiate the resulting derivations and print their paths");
    }

    void add_repl() { repl_app_ = command("repl", hive_only, "Open `nix repl` with pkgs, lib and nodes in scope"); }

    void add_nodes() {
        nodes_app_ = command("nodes", hive_only, "List the hive's nodes");
        add_select_options(*nodes_app_, nodes_.select);
        nodes_app_->add_flag("--json", nodes_.json, "Print JSON: name, tags, host, port, via and system of each node");
    }

    void add_history() {
        history_app_ = command("history", asking, "Show what was deployed to the nodes");
        add_select_options(*history_app_, history_.select);
        history_.connect.parallel = asked_at_once;
        add_connect_options(*history_app_, history_.connect);
        history_app_->add_option("--limit", history_.limit, "Deployments to show per node (default: 20)")
            ->type_name("N")
            ->check(CLI::Range(size_t{1}, protocol::max_history_entries));
    }

    void add_confirm() {
        confirm_app_ = command("confirm", deploying, "Keep new systems that await confirmation");
        add_select_options(*confirm_app_, confirm_.select);
        confirm_.connect.parallel = asked_at_once;
        add_connect_options(*confirm_app_, confirm_.connect);
    }

    void add_reboot() {
        reboot_app_ = command("reboot", deploying, "Reboot nodes and wait until they are back");
        add_select_options(*reboot_app_, reboot_.select);
        add_connect_options(*reboot_app_, reboot_.connect);
        reboot_app_->add_option("--timeout", reboot_.timeout, "Seconds to wait for a node (default: 600)")
            ->type_name("SECONDS")
            ->check(CLI::Range(1, 86'400));
    }

    void add_rollback() {
        rollback_app_ = command("rollback", deploying, "Deploy the nodes' previous systems again");
        add_select_options(*rollback_app_, rollback_.select);
        add_connect_options(*rollback_app_, rollback_.connect);
        rollback_app_
            ->add_option("--to", rollback_.generation, "The generation (default: the one before the running system)")
            ->type_name("GENERATION")
            ->check(CLI::Range(1, 1'000'000'000));
        rollback_app_->add_flag("--force", rollback_.force,
                                "Proceed even if another operator has deployed in the meantime");
    }

    void add_whoami() {
        whoami_app_ = command("whoami", asking, "Show your operator key and which nodes accept it");
        add_select_options(*whoami_app_, whoami_.select);
        whoami_.connect.parallel = asked_at_once;
        add_connect_options(*whoami_app_, whoami_.connect);
    }

    CommandLine finish() {
        if (color_ == "always")
            line_.global.color = ColorChoice::always;
        else if (color_ == "never")
            line_.global.color = ColorChoice::never;
        else if (color_ != "auto")
            throw Error(fmt::format("--color takes auto, always or never, not “{}”", color_));
        if (apply_app_->parsed()) {
            const std::optional<protocol::Goal> goal = protocol::parse_goal(goal_);
            if (!goal) {
                const std::string meant = did_you_mean(goal_, goal_words());
                throw Error(fmt::format("there is no goal “{}”{}\nThe goals are {}.", goal_,
                                        meant.empty() ? on_suggestion(goal_) : meant, fmt::join(goal_words(), ", ")));
            }
            apply_.goal = *goal;
            line_.command = apply_;
        } else if (build_app_->parsed()) {
            line_.command = build_;
        } else if (check_health_app_->parsed()) {
            line_.command = check_health_;
        } else if (eval_app_->parsed()) {
            line_.command = eval_;
        } else if (repl_app_->parsed()) {
            line_.command = ReplOptions{};
        } else if (nodes_app_->parsed()) {
            line_.command = nodes_;
        } else if (history_app_->parsed()) {
            line_.command = history_;
        } else if (confirm_app_->parsed()) {
            line_.command = confirm_;
        } else if (reboot_app_->parsed()) {
            line_.command = reboot_;
        } else if (rollback_app_->parsed()) {
            line_.command = rollback_;
        } else if (upload_keys_app_->parsed()) {
            line_.command = upload_keys_;
        } else if (keys_app_->parsed()) {
            line_.command = keys_;
        } else if (whoami_app_->parsed()) {
            line_.command = whoami_;
        } else {
            line_.command = status_;
        }
        if (apply_.no_keys && apply_app_->parsed() && apply_.goal == protocol::Goal::upload_keys)
            throw Error("--no-keys leaves nothing to do for the goal upload-keys");
        if ((apply_.reboot || apply_.reboot_if_needed) && apply_app_->parsed() && !protocol::sets_profile(apply_.goal))
            throw Error(fmt::format("--reboot goes with the goals switch and boot, not with {}", goal_));
        if (apply_.install_boot_loader && apply_app_->parsed() && !protocol::sets_profile(apply_.goal))
            throw Error(fmt::format("--install-bootloader goes with the goals switch and boot, not with {}", goal_));
        return std::move(line_);
    }

    const CLI::App& current_app() const {
        const std::vector<CLI::App*> subcommands = app_.get_subcommands();
        return subcommands.empty() ? app_ : *subcommands.front();
    }

    std::vector<std::string> known_options() const {
        std::vector<std::string> names;
        for (const CLI::App* app : {&app_, &current_app()}) {
            for (const CLI::Option* option : app->get_options()) {
                for (const std::string& name : option->get_lnames())
                    names.push_back("--" + name);
            }
        }
        return names;
    }

    // Where nodes are selected, a word that means nothing else may be one's name.
    std::string on_suggestion(const std::string& word) const {
        const CLI::App& app = current_app();
        if (!app.get_option_no_throw("--on"))
            return {};
        return fmt::format("; nodes are named with --on: `waggle {} --on {}`", app.get_name(), word);
    }

    std::string unknown_word() const {
        const std::vector<std::string> extras = app_.remaining(true);
        const std::string word = extras.empty() ? "" : extras.front();
        const std::string command = current_app().get_name();
        if (word.starts_with('-'))
            return fmt::format("there is no option {}{}\n`waggle {}--help` lists the options.", word,
                               did_you_mean(word.substr(0, word.find('=')), known_options()),
                               command.empty() ? "" : command + " ");
        return fmt::format("unexpected argument “{}” for `waggle {}`{}\n`waggle {} --help` lists what it takes.", word,
                           command, on_suggestion(word), command);
    }

    // There is no known subcommand: either none was given, or it is misspelt.
    std::string first_word_problem(int argc, const char* const* argv) const {
        std::vector<std::string> commands;
        for (const CLI::App* command : app_.get_subcommands({}))
            commands.push_back(command->get_name());
        for (int i = 1; i < argc; ++i) {
            const std::string word = argv[i];
            if (!word.starts_with('-'))
                return fmt::format("there is no command “{}”{}\nThe commands are {}; `waggle --help` explains them.",
                                   word, did_you_mean(word, commands), fmt::join(commands, ", "));
            if (const auto known = known_options();
                std::find(known.begin(), known.end(), word) == known.end() && word.starts_with("--"))
                return fmt::format("there is no option {}{}", word, did_you_mean(word, known));
        }
        return fmt::format("a command is missing: {}\n`waggle --help` explains them.", fmt::join(commands, ", "));
    }

    CLI::App app_{"Deploy NixOS: evaluate and build here, and send each node a signed deployment.", "waggle"};
    CLI::App* apply_app_ = nullptr;
    CLI::App* build_app_ = nullptr;
    CLI::App* status_app_ = nullptr;
    CLI::App* check_health_app_ = nullptr;
    CLI::App* eval_app_ = nullptr;
    CLI::App* history_app_ = nullptr;
    CLI::App* nodes_app_ = nullptr;
    CLI::App* repl_app_ = nullptr;
    CLI::App* confirm_app_ = nullptr;
    CLI::App* reboot_app_ = nullptr;
    CLI::App* rollback_app_ = nullptr;
    CLI::App* whoami_app_ = nullptr;
    CLI::App* upload_keys_app_ = nullptr;
    CLI::App* keys_app_ = nullptr;
    CommandLine line_;
    ApplyOptions apply_;
    BuildCommandOptions build_;
    StatusOptions status_;
    CheckHealthOptions check_health_;
    EvalOptions eval_;
    HistoryOptions history_;
    NodesOptions nodes_;
    ConfirmOptions confirm_;
    RebootOptions reboot_;
    RollbackOptions rollback_;
    WhoamiOptions whoami_;
    UploadKeysOptions upload_keys_;
    KeysOptions keys_;
    std::string goal_ = "switch";
    std::string color_ = "auto";
};

int run(const CommandLine& line, const Interrupt& interrupt) {
    if (const auto* options = std::get_if<ApplyOptions>(&line.command))
        return apply(line.global, *options, interrupt);
    if (const auto* options = std::get_if<BuildCommandOptions>(&line.command))
        return build(line.global, *options, interrupt);
    if (const auto* options = std::get_if<CheckHealthOptions>(&line.command))
        return check_health(line.global, *options, interrupt);
    if (const auto* options = std::get_if<EvalOptions>(&line.command))
        return eval(line.global, *options, interrupt);
    if (std::holds_alternative<ReplOptions>(line.command))
        return repl(line.global, interrupt);
    if (const auto* options = std::get_if<NodesOptions>(&line.command))
        return nodes(line.global, *options, interrupt);
    if (const auto* options = std::get_if<HistoryOptions>(&line.command))
        return history(line.global, *options, interrupt);
    if (const auto* options = std::get_if<ConfirmOptions>(&line.command))
        return confirm(line.global, *options, interrupt);
    if (const auto* options = std::get_if<RebootOptions>(&line.command))
        return reboot(line.global, *options, interrupt);
    if (const auto* options = std::get_if<RollbackOptions>(&line.command))
        return rollback(line.global, *options, interrupt);
    if (const auto* options = std::get_if<WhoamiOptions>(&line.command))
        return whoami(line.global, *options, interrupt);
    if (const auto* options = std::get_if<UploadKeysOptions>(&line.command))
        return upload_keys(line.global, *options, interrupt);
    if (const auto* options = std::get_if<KeysOptions>(&line.command))
        return keys(line.global, *options, interrupt);
    return status(line.global, std::get<StatusOptions>(line.command), interrupt);
}

void print_error(std::string_view text) {
    std::string safe;
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find('\n', begin), text.size());
        safe += printable(text.substr(begin, end - begin)) + "\n";
        begin = end + 1;
    }
    fmt::print(stderr, "waggle: {}", safe);
}

} // namespace

std::variant<CommandLine, Usage> parse_command_line(int argc, const char* const* argv) {
    return Parser().parse(argc, argv);
}

int run_command_line(int argc, char** argv) {
    const std::variant<CommandLine, Usage> parsed = parse_command_line(argc, argv);
    if (const auto* usage = std::get_if<Usage>(&parsed)) {
        if (usage->exit_code == 0)
            fmt::print("{}", usage->text);
        else
            print_error(usage->text);
        return usage->exit_code;
    }
    std::signal(SIGPIPE, SIG_IGN); // a broken pipe is an error where it is written to
    Interrupt interrupt;
    const InterruptOnSignals signals(interrupt);
    try {
        return run(std::get<CommandLine>(parsed), interrupt);
    } catch (const Interrupted&) {
        print_error("stopped before anything was sent to a node");
        return protocol::exit_code(protocol::Outcome::interrupted);
    } catch (const std::exception& error) {
        print_error(error.what());
        return usage_error;
    }
}

} // namespace waggle::trigger

#include "agent/cli.hpp"

#include "agent/activation/commands.hpp"
#include "agent/console/console.hpp"
#include "agent/console/status.hpp"
#include "agent/daemon/daemon.hpp"
#include "agent/node/config.hpp"
#include "agent/secrets/commands.hpp"
#include "agent/units/health_unit.hpp"
#include "shared/base/error.hpp"
#include "shared/cli/help.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace waggle::agent {

namespace {

constexpr int usage_exit_code = 2;

// The groups of commands in the help.
constexpr auto looking = "Look at this node";
constexpr auto changing = "Change this node";
constexpr auto in_units = "What units of systemd run";

// The subcommands with their options, and the function to run for the parsed one.
class AgentCli {
public:
    AgentCli() {
        app_.formatter(help_formatter()); // first: subcommands inherit it
        app_.set_version_flag("--version", "waggle-agent " WAGGLE_VERSION);
        app_.require_subcommand(1);
        add_status();
        add_history();
        add_check_health();
        add_secrets(app_, chosen_)->group(looking);
        add_rollback();
        add_disarm();
        add_adopt();
        add_reset_state();
        add_reset_clock();
        add_daemon();
        add_install_secrets(app_, chosen_)->group(in_units);
        add_await_secret(app_, chosen_)->group("");
        add_unit("activate", run_activation);
        add_unit("commit", run_commit);
        add_unit("take-up", resume_recovery);
        add_watch();
    }

    int run(int argc, const char* const* argv) {
        if (argc <= 1) {
            std::fputs(app_.help().c_str(), stdout);
            return 0;
        }
        try {
            app_.parse(argc, argv);
        } catch (const CLI::Success& help_or_version) {
            return app_.exit(help_or_version);
        } catch (const CLI::ParseError& error) {
            const bool no_command = app_.get_subcommands().empty() && argv[1][0] != '-';
            const auto problem = no_command ? fmt::format("there is no command “{}”", argv[1]) : error.what();
            fmt::print(stderr, "waggle-agent: {}; `waggle-agent --help` lists the commands\n", problem);
            return usage_exit_code;
        }
        return chosen_();
    }

    std::string help_of(const std::string& command) const {
        return command.empty() ? app_.help() : app_.get_subcommand(command)->help();
    }

private:
    void add_state_dir(CLI::App& command) {
        command.add_option("--state-dir", state_dir_, "The agent's state (default: as configured)")
            ->type_name("FOLDER");
    }

    void add_config(CLI::App& command) { command.add_option("--config", config_, config_help)->type_name("FILE"); }

    void add_daemon() {
        auto* command = app_.add_subcommand("daemon", "Run the agent")->group(in_units);
        command->add_option("--config", config_, "A JSON file that services.waggle-agent writes; required")
            ->required()
            ->type_name("FILE");
        command->callback([this] { chosen_ = [this] { return run_daemon(config_); }; });
    }

    void add_status() {
        auto* command =
            app_.add_subcommand("status", "Show this node's state and its latest deployment")->group(looking);
        add_config(*command);
        add_state_dir(*command);
        command->callback([this] {
            chosen_ = [this] {
                std::fputs(describe_status(given(config_), given(state_dir_)).c_str(), stdout);
                return 0;
            };
        });
    }

    void add_history() {
        auto* command =
            app_.add_subcommand("history", "List the deployments to this node, the newest last")->group(looking);
        add_state_dir(*command);
        command->callback([this] {
            chosen_ = [this] {
                std::fputs(describe_history(given(state_dir_)).c_str(), stdout);
                return 0;
            };
        });
    }

    void add_check_health() {
        auto* command =
            app_.add_subcommand("check-health", "Run the health checks of the running system")->group(looking);
        command->callback([this] { chosen_ = [] { return check_health(); }; });
    }

    void add_rollback() {
        auto* command =
            app_.add_subcommand("rollback", "Roll back to the previous system now (works offline)")->group(changing);
        add_state_dir(*command);
        command->add_option("--id", id_)->group("");
        command->add_option("--automatic", caller_)->group("");
        command->callback([this] {
            chosen_ = [this] {
                if (caller_.empty())
                    return roll_back_at_console(given(state_dir_));
                const auto caller = parse_recovery_cause(caller_);
                if (!caller)
                    throw Error("--automatic: unknown caller");
                return run_recovery(state_dir_, protocol::DeploymentId::parse(id_), *caller);
            };
        });
    }

    void add_disarm() {
        auto* command =
            app_.add_subcommand("disarm", "Stop the rollback timers and keep the running system until the next boot")
                ->group(changing);
        add_state_dir(*command);
        command->callback([this] { chosen_ = [this] { return disarm_at_console(given(state_dir_)); }; });
    }

    void add_reset_state() {
        auto* command =
            app_.add_subcommand("reset-state", "Set aside an unreadable state file and start fresh")->group(changing);
        add_state_dir(*command);
        command->callback([this] { chosen_ = [this] { return reset_state_at_console(given(state_dir_)); }; });
    }

    void add_reset_clock() {
        auto* command = app_.add_subcommand("reset-clock",
                                            "Clear a lock-out by a deployment that is dated ahead of this node's clock")
                            ->group(changing);
        add_state_dir(*command);
        command->callback([this] { chosen_ = [this] { return reset_clock_at_console(given(state_dir_)); }; });
    }

    void add_adopt() {
        auto* command =
            app_.add_subcommand("adopt", "Replace the operators with the keys in FILE (default: those in the running "
                                         "configuration)")
                ->group(changing);
        command->add_option("FILE", operators_)->type_name("FILE");
        command->footer("FILE has public keys, one per line, as in authorized_keys but without options.");
        add_config(*command);
        add_state_dir(*command);
        command->callback([this] {
            chosen_ = [this] { return adopt_at_console(given(operators_), given(config_), given(state_dir_)); };
        });
    }

    // Adds a hidden subcommand, which runs in a unit of its own because it changes the system.
    void add_unit(const char* name, int (*part)(const std::filesystem::path&, const protocol::DeploymentId&)) {
        auto* command = app_.add_subcommand(name, "")->group("");
        command->add_option("--state-dir", state_dir_)->required();
        command->add_option("--id", id_)->required();
        command->callback(
            [this, part] { chosen_ = [this, part] { return part(state_dir_, protocol::DeploymentId::parse(id_)); }; });
    }

    void add_watch() {
        auto* command = app_.add_subcommand("watch", "")->group("");
        command->add_option("--state-dir", state_dir_)->required();
        command->add_option("--id", id_)->required();
        command->add_option("--system", system_)->required();
        command->callback([this] {
            chosen_ = [this] {
                return run_boot_watch(state_dir_, protocol::DeploymentId::parse(id_),
                                      nix::StorePath::parse_absolute(system_));
            };
        });
    }

    static std::optional<std::filesystem::path> given(const std::string& text) {
        return text.empty() ? std::nullopt : std::optional<std::filesystem::path>(text);
    }

    CLI::App app_{
        "The agent of a node that Waggle deploys. Its commands are for root at the node, and need no network.",
        "waggle-agent"};
    std::function<int()> chosen_;
    std::string config_;
    std::string state_dir_;
    std::string operators_;
    std::string id_;
    std::string caller_;
    std::string system_;
};

} // namespace

int run_cli(int argc, const char* const* argv) {
    try {
        return AgentCli().run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "waggle-agent: %s\n", error.what());
        return 1;
    }
}

std::string help_of(const std::string& command) {
    return AgentCli().help_of(command);
}

} // namespace waggle::agent

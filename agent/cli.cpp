#include "agent/cli.hpp"

#include "agent/activate.hpp"
#include "agent/activation_report.hpp"
#include "agent/daemon.hpp"
#include "agent/status.hpp"
#include "shared/base/error.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace waggle::agent {

namespace {

constexpr int usage_exit_code = 2;

// The subcommands' options, and what to do when one was parsed.
class AgentCli {
public:
    AgentCli() {
        app_.set_version_flag("--version", WAGGLE_VERSION);
        app_.require_subcommand(1);
        add_daemon();
        add_status();
        add_activate();
        add_activation_result();
    }

    int run(int argc, const char* const* argv) {
        try {
            app_.parse(argc, argv);
        } catch (const CLI::ParseError& error) {
            return app_.exit(error) == 0 ? 0 : usage_exit_code;
        }
        return chosen_();
    }

private:
    void add_daemon() {
        auto* command = app_.add_subcommand("daemon", "Serve this node's operators");
        command->add_option("--config", config_, "JSON file, as services.waggle-agent writes it")->required();
        command->callback([this] { chosen_ = [this] { return run_daemon(config_); }; });
    }

    void add_status() {
        auto* command = app_.add_subcommand("status", "Say what this node is and what it was told last");
        command->add_option("--config", config_, "the agent's configuration (default: the one its unit names)");
        command->add_option("--state-dir", state_dir_, "the agent's state (default: as configured)");
        command->callback([this] {
            chosen_ = [this] {
                const auto given = [](const std::string& text) {
                    return text.empty() ? std::nullopt : std::optional<std::filesystem::path>(text);
                };
                std::fputs(describe_status(given(config_), given(state_dir_)).c_str(), stdout);
                return 0;
            };
        });
    }

    // Hidden: what the agent starts in a unit of its own, because it changes the system.
    void add_activate() {
        auto* command = app_.add_subcommand("activate", "")->group("");
        add_state_and_id(*command);
        command->add_option("--goal", goal_)->required();
        command->add_option("--toplevel", toplevel_)->required();
        command->add_flag("--keep-failed-units", keep_failed_units_);
        command->add_flag("--no-rollback", no_rollback_);
        command->callback([this] {
            chosen_ = [this] {
                const auto goal = protocol::parse_goal(goal_);
                if (!goal)
                    throw Error("--goal is not a goal");
                return run_activation({.id = protocol::DeploymentId::parse(id_),
                                       .goal = *goal,
                                       .toplevel = nix::StorePath::parse_absolute(toplevel_),
                                       .keep_on_failed_units = keep_failed_units_,
                                       .rollback = !no_rollback_},
                                      state_dir_);
            };
        });
    }

    void add_activation_result() {
        auto* command = app_.add_subcommand("activation-result", "")->group("");
        add_state_and_id(*command);
        command->callback([this] {
            chosen_ = [this] {
                write_activation_result(state_dir_, protocol::DeploymentId::parse(id_));
                return 0;
            };
        });
    }

    void add_state_and_id(CLI::App& command) {
        command.add_option("--state-dir", state_dir_)->required();
        command.add_option("--id", id_)->required();
    }

    CLI::App app_{"The daemon of a node that Waggle deploys", "waggle-agent"};
    std::function<int()> chosen_;
    std::string config_;
    std::string state_dir_;
    std::string id_;
    std::string goal_;
    std::string toplevel_;
    bool keep_failed_units_ = false;
    bool no_rollback_ = false;
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

} // namespace waggle::agent

#include "agent/activate.hpp"

#include "agent/boot_loader.hpp"
#include "agent/commit.hpp"
#include "agent/life.hpp"
#include "agent/reboot.hpp"
#include "agent/roll_back.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace waggle::agent {

using protocol::Goal;
using protocol::Outcome;

namespace {

// Exit codes of switch-to-configuration.
constexpr int refused_before_activation = 100;
constexpr int units_failed = 4;

class Activation {
public:
    explicit Activation(SystemActions& actions) : actions_(actions), record_(actions.record()) {}

    void run() {
        if (record_.secrets_only)
            return replace_secrets();
        switch (record_.goal) {
        case Goal::dry_activate: dry_activate(); break;
        case Goal::boot: boot(); break;
        default:
            if (starts_by_boot(record_, actions_))
                return boot();
            forget_earlier_boot();
            if (!may_switch() || !bring_secrets() || !test() || !finish_secrets() || !is_healthy())
                return;
            if (record_.remove_agent || !record_.rollback.enable)
                commit_now();
            else
                hand_over();
        }
    }

private:
    void end_untouched(LifeEvent event, Outcome outcome, std::string code, std::string message) {
        actions_.change([&](DeploymentRecord& record) {
            advance(record, event, actions_.clock());
            end(record, {.outcome = outcome, .code = std::move(code), .message = std::move(message)});
        });
        if (event == LifeEvent::nothing_activated)
            put_secrets_back(actions_, SecretsStep::back_after);
        actions_.disarm();
    }

    // The system stays as it is.
    void replace_secrets() {
        bool changed = false;
        try {
            forget_earlier_boot(); // its record made room for this one's
        } catch (const std::exception& error) {
            actions_.say(
                fmt::format("what an earlier deployment has the next boot start was not forgotten: {}", error.what()));
        }
        try {
            changed = actions_.install_secrets(SecretsStep::after_activation);
        } catch (const std::exception& error) {
            return end_untouched(LifeEvent::nothing_activated, Outcome::failed_before_activation, "secrets-failed",
                                 error.what());
        }
        actions_.change([&](DeploymentRecord& record) {
            advance(record, LifeEvent::commit, actions_.clock());
            advance(record, LifeEvent::committed, actions_.clock());
            const bool left = record.problem_code == secrets_left;
            end(record, {.outcome = left      ? Outcome::ok_units_failed
                                    : changed ? Outcome::ok
                                              : Outcome::unchanged,
                         .code = record.problem_code,
                         .message = left      ? record.problem
                                    : changed ? ""
                                              : "the node has these secrets already"});
        });
        actions_.disarm();
    }

    bool bring_secrets() {
        try {
            actions_.install_secrets(SecretsStep::before_activation);
            return true;
        } catch (const std::exception& error) {
            end_untouched(LifeEvent::nothing_activated, Outcome::failed_before_activation, "secrets-failed",
                          error.what());
            return false;
        }
    }

    // Those for after the activation, and the owners that it has made.
    bool finish_secrets() {
        try {
            actions_.install_secrets(SecretsStep::after_activation);
            return true;
        } catch (const std::exception& error) {
            fail(actions_, {"secrets-failed", error.what()});
            return false;
        }
    }

    void dry_activate() {
        const auto result = actions_.switch_to_configuration(*system_of(record_), "dry-activate", limits());
        if (result.success())
            end_untouched(LifeEvent::dry_activated, Outcome::ok, "", "");
        else
            end_untouched(LifeEvent::nothing_activated, Outcome::failed_before_activation, "dry-activate-failed",
                          fmt::format("switch-to-configuration dry-activate: {}", result.text));
    }

    void boot() {
        forget_earlier_boot();
        if (may_switch())
            prepare_boot(actions_);
    }

    // What an earlier deployment prepared.
    void forget_earlier_boot() {
        actions_.boot_loader().forget_once();
        actions_.remove_boot_watch();
    }

    bool may_switch() {
        if (!actions_.has_check(*system_of(record_)))
            return true;
        const auto result = actions_.switch_to_configuration(*system_of(record_), "check", limits());
        if (result.success())
            return true;
        end_untouched(LifeEvent::nothing_activated, Outcome::refused, "pre-switch-check",
                      fmt::format("the new system's pre-switch checks refused: {}", result.text));
        return false;
    }

    bool test() {
        const auto result = actions_.switch_to_configuration(*system_of(record_), "test", limits());
        if (result.success() || result.code == units_failed)
            return true; // which units, and whether they failed before, is looked at next
        if (result.code == refused_before_activation)
            end_untouched(LifeEvent::nothing_activated, Outcome::refused, "pre-switch-check",
                          "switch-to-configuration refused before anything was activated (exit code 100)");
        else
            fail(actions_, {"activation-failed", fmt::format("switch-to-configuration test: {}", result.text)});
        return false;
    }

    bool is_healthy() {
        if (!units_are_well())
            return false;
        if (const auto problem = actions_.health_problem()) {
            fail(actions_, {"health-check", *problem});
            return false;
        }
        return units_are_well(); // some need a moment to fail
    }

    bool units_are_well() {
        const auto failed = actions_.failed_units();
        std::vector<std::string> fresh;
        std::ranges::set_difference(failed, record_.failed_units, std::back_inserter(fresh));
        if (fresh.empty())
            return true;
        const Problem problem{"units-failed", fmt::format("units failed: {}", fmt::join(fresh, ", "))};
        // Without the way back, failed units are no reason to leave the node between two systems.
        if (!record_.rollback.keep_on_failed_units && record_.rollback.enable) {
            fail(actions_, problem);
            return false;
        }
        if (record_.problem != problem.text) {
            actions_.say(problem.text);
            record_ = actions_.change([&](DeploymentRecord& record) {
                record.problem_code = problem.code;
                record.problem = problem.text;
            });
        }
        return true;
    }

    void commit_now() {
        commit(actions_);
        if (const auto record = actions_.record();
            record.state == DeploymentState::committed && !record.remove_agent && record.goal != Goal::boot)
            actions_.restart_agent();
    }

    // From here on it is the new system's agent that keeps the node from going back.
    void hand_over() {
        actions_.arm_confirmation(record_);
        actions_.change([&](DeploymentRecord& record) { advance(record, LifeEvent::activated, actions_.clock()); });
        actions_.disarm_activation_timer();
        const auto restarted = actions_.restart_agent();
        if (!restarted.success())
            fail(actions_,
                 {"agent-not-started", fmt::format("the new system's agent could not be started: {}", restarted.text)});
    }

    SystemActions::Switch limits() const { return {.no_check = false, .timeout = record_.rollback.activation_timeout}; }

    SystemActions& actions_;
    DeploymentRecord record_;
};

} // namespace

void activate(SystemActions& actions) {
    try {
        Activation(actions).run();
    } catch (const std::exception& error) {
        fail(actions, {"activation-failed", error.what()});
    }
}

} // namespace waggle::agent

#include "agent/activation/activate.hpp"

#include "agent/activation/commit.hpp"
#include "agent/activation/examine.hpp"
#include "agent/activation/reboot.hpp"
#include "agent/activation/roll_back.hpp"
#include "agent/activation/switch_lock.hpp"
#include "agent/node/boot_loader.hpp"
#include "agent/state/record.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace waggle::agent {

using protocol::Goal;
using protocol::Outcome;

namespace {

constexpr int refused_before_activation = 100; // an exit code of switch-to-configuration

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
            if (!may_switch() || !bring_secrets() || !test() || !finish_secrets() || !is_well())
                return;
            if (record_.remove_agent || !record_.rollback.enable)
                commit_now();
            else
                hand_over();
        }
    }

private:
    void end_untouched(StateEvent event, Outcome outcome, std::string code, std::string message) {
        actions_.change([&](DeploymentRecord& record) {
            advance(record, event, actions_.clock());
            end(record, {.outcome = outcome, .code = std::move(code), .message = std::move(message)});
        });
        if (event == StateEvent::nothing_activated)
            put_secrets_back(actions_, SecretsStep::back_after);
        actions_.disarm();
    }

    // Leaves the system unchanged.
    void replace_secrets() {
        bool changed = false;
        try {
            forget_earlier_boot(); // this deployment's record has replaced its record
        } catch (const std::exception& error) {
            actions_.say(fmt::format("could not cancel the one-time boot of an earlier deployment: {}", error.what()));
        }
        try {
            changed = actions_.install_secrets(SecretsStep::after_activation);
        } catch (const std::exception& error) {
            return end_untouched(StateEvent::nothing_activated, Outcome::failed_before_activation, "secrets-failed",
                                 error.what());
        }
        actions_.change([&](DeploymentRecord& record) {
            advance(record, StateEvent::commit, actions_.clock());
            advance(record, StateEvent::committed, actions_.clock());
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
            end_untouched(StateEvent::nothing_activated, Outcome::failed_before_activation, "secrets-failed",
                          error.what());
            return false;
        }
    }

    // Installs the secrets that belong after the activation, and sets owners that the activation has created.
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
        if (is_locked())
            return;
        const auto result = actions_.switch_to_configuration(*system_of(record_), "dry-activate", limits());
        if (result.success())
            end_untouched(StateEvent::dry_activated, Outcome::ok, "", "");
        else if (result.code == switch_lock_taken)
            end_locked("another process");
        else
            end_untouched(StateEvent::nothing_activated, Outcome::failed_before_activation, "dry-activate-failed",
                          fmt::format("switch-to-configuration dry-activate: {}", result.text));
    }

    // Does not run NixOS's pre-switch checks: they would judge a switch of the running system, but this system is
    // booted. The commit's `boot` runs them for its own action.
    void boot() {
        forget_earlier_boot();
        prepare_boot(actions_);
    }

    // Undoes the one-time boot that an earlier deployment prepared.
    void forget_earlier_boot() {
        actions_.boot_loader().forget_once();
        actions_.remove_boot_watch();
    }

    // Does not wait for the lock: another process's switch may change the node in a way that this deployment has not
    // seen.
    bool is_locked() {
        const auto holder = actions_.switch_lock_holder();
        if (holder)
            end_locked(*holder);
        return holder.has_value();
    }

    void end_locked(std::string_view holder) {
        end_untouched(
            StateEvent::nothing_activated, Outcome::refused, "busy",
            fmt::format("{} is switching this node to a configuration: apply again when that is over", holder));
    }

    bool may_switch() {
        if (is_locked())
            return false;
        if (!actions_.has_check(*system_of(record_)))
            return true;
        const auto result = actions_.switch_to_configuration(*system_of(record_), "check", limits());
        if (result.success())
            return true;
        if (result.code == switch_lock_taken)
            end_locked("another process");
        else
            end_refused(fmt::format("the new system's pre-switch checks refused: {}", result.text));
        return false;
    }

    void end_refused(const std::string& sentence) {
        const auto inhibitors = actions_.changed_inhibitors(*system_of(record_));
        end_untouched(
            StateEvent::nothing_activated, Outcome::refused, "pre-switch-check",
            fmt::format("{}{}; --reboot deploys the system by booting it", sentence,
                        inhibitors.empty() ? "" : "; these must not change in a running system: " + inhibitors));
    }

    bool test() {
        actions_.remember_units();
        const auto result = actions_.switch_to_configuration(*system_of(record_), "test", limits());
        if (result.success() || result.code == SystemActions::units_failed)
            return is_current(result); // is_well() checks which units failed, and whether they did before
        if (result.code == refused_before_activation)
            end_refused("switch-to-configuration refused before anything was activated (exit code 100)");
        else if (result.code == switch_lock_taken && actions_.current_system() == record_.previous_system)
            end_locked("another process");
        else if (result.timed_out)
            fail(actions_, activation_timed_out(record_));
        else
            fail(actions_, {"activation-failed", fmt::format("switch-to-configuration test: {}", result.text)});
        return false;
    }

    bool is_well() {
        const auto problem = examine(actions_);
        if (problem)
            fail(actions_, *problem);
        return !problem;
    }

    // Either exit code may be the leftover errno of a script that ended before it activated anything.
    bool is_current(const SystemActions::End& result) {
        const auto current = actions_.current_system();
        if (current == system_of(record_))
            return true;
        fail(actions_,
             {"activation-failed",
              fmt::format("switch-to-configuration test ended with {}, but the current system is {}, not {}",
                          result.text, current ? current->base_name() : "unknown", system_of(record_)->base_name())});
        return false;
    }

    void commit_now() {
        commit(actions_);
        if (const auto record = actions_.record();
            record.state == DeploymentState::committed && !record.remove_agent && record.goal != Goal::boot)
            actions_.restart_agent();
    }

    // From here on, only a confirmation through the new system's agent prevents the rollback.
    void hand_over() {
        actions_.arm_confirmation(record_);
        actions_.change([&](DeploymentRecord& record) { advance(record, StateEvent::activated, actions_.clock()); });
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

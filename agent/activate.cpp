#include "agent/activate.hpp"

#include "shared/base/error.hpp"

#include <fmt/format.h>

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
    Activation(const ActivationPlan& plan, ActivationActions& actions) : plan_(plan), actions_(actions) {
        report_.id = plan.id;
    }

    ActivationReport run() {
        try {
            previous_ = actions_.current_system();
            previous_link_ = actions_.profile_link();
            switch (plan_.goal) {
            case Goal::dry_activate: dry_activate(); break;
            case Goal::test:
                if (test())
                    done();
                break;
            case Goal::switch_:
                if (test() && set_profile() && install_boot_loader())
                    done();
                break;
            case Goal::boot:
                if (set_profile() && install_boot_loader())
                    done();
                break;
            default:
                end(Outcome::refused, "no-goal", fmt::format("the goal {} activates nothing", to_string(plan_.goal)));
            }
        } catch (const std::exception& error) {
            fail(activated_ ? "activation-failed" : "activation-not-started", error.what());
        }
        return report_;
    }

private:
    void step(std::string_view name) {
        report_.step = name;
        actions_.report(report_);
    }

    void end(Outcome outcome, std::string code, std::string message) {
        report_.outcome = outcome;
        report_.code = std::move(code);
        report_.message = std::move(message);
    }

    void done() {
        report_.generation = sets_profile(plan_.goal) ? actions_.generation() : std::nullopt;
        if (units_failed_)
            end(Outcome::ok_units_failed, "units-failed", "the system was activated, but units failed");
        else
            end(Outcome::ok, "", "");
    }

    void dry_activate() {
        step("dry-activate");
        const auto result = actions_.switch_to_configuration(plan_.toplevel, "dry-activate", false);
        if (result.success())
            end(Outcome::ok, "", "");
        else
            end(Outcome::failed_before_activation, "dry-activate-failed",
                fmt::format("switch-to-configuration dry-activate: {}", result.text));
    }

    // Starts the new system. False: it has ended otherwise.
    bool test() {
        if (actions_.has_check(plan_.toplevel)) {
            step("check");
            const auto result = actions_.switch_to_configuration(plan_.toplevel, "check", false);
            if (!result.success()) {
                end(Outcome::refused, "pre-switch-check",
                    fmt::format("the new system's pre-switch checks refused: {}", result.text));
                return false;
            }
        }
        step("test");
        activated_ = true;
        const auto result = actions_.switch_to_configuration(plan_.toplevel, "test", false);
        if (result.success())
            return true;
        if (result.code == refused_before_activation) {
            end(Outcome::refused, "pre-switch-check",
                "switch-to-configuration refused before anything was activated (exit code 100)");
            return false;
        }
        // Without the way back, failed units are no reason to leave the node between two systems.
        if (result.code == units_failed && (plan_.keep_on_failed_units || !plan_.rollback)) {
            units_failed_ = true;
            return true;
        }
        fail(result.code == units_failed ? "units-failed" : "activation-failed",
             fmt::format("switch-to-configuration test: {}{}", result.text,
                         result.code == units_failed ? " (units failed)" : ""));
        return false;
    }

    bool set_profile() {
        step("profile");
        const auto result = actions_.set_profile(plan_.toplevel);
        profile_touched_ = true;
        if (result.success())
            return true;
        fail("profile-failed", fmt::format("setting the system profile: {}", result.text));
        return false;
    }

    bool install_boot_loader() {
        step("boot");
        boot_touched_ = true;
        const auto result = actions_.switch_to_configuration(plan_.toplevel, "boot", false);
        if (result.success())
            return true;
        fail("boot-loader-failed", fmt::format("switch-to-configuration boot: {}", result.text));
        return false;
    }

    // Goes back, as far as something was done, and says how it ended.
    void fail(std::string code, const std::string& why) {
        if (!activated_ && !profile_touched_) {
            end(Outcome::failed_before_activation, std::move(code), why);
            return;
        }
        if (!plan_.rollback) {
            end(Outcome::unknown, std::move(code), why + "; rolling back is switched off, the node is left as it is");
            return;
        }
        actions_.say(fmt::format("{}; rolling back", why));
        const auto problem = roll_back();
        if (problem.empty())
            end(Outcome::rolled_back, std::move(code),
                activated_ ? fmt::format("{}; {} runs again", why, previous_->base_name())
                           : fmt::format("{}; the profile and the boot loader are as before", why));
        else
            end(Outcome::unknown, "rollback-failed", fmt::format("{}; going back failed, too: {}", why, problem));
    }

    // Empty when everything is as it was, else what is not.
    std::string roll_back() {
        try {
            step("roll back");
            if (profile_touched_)
                actions_.restore_profile_link(previous_link_);
            if (!boot_touched_ && !activated_)
                return "";
            if (!previous_)
                return "there is no system that ran before";
            if (boot_touched_) {
                const auto result = actions_.switch_to_configuration(*previous_, "boot", true);
                if (!result.success())
                    return fmt::format("the old system's switch-to-configuration boot: {}", result.text);
            }
            if (activated_) {
                const auto result = actions_.switch_to_configuration(*previous_, "test", true);
                if (!result.success() && result.code != units_failed)
                    return fmt::format("the old system's switch-to-configuration test: {}", result.text);
            }
            return "";
        } catch (const std::exception& error) {
            return error.what();
        }
    }

    const ActivationPlan& plan_;
    ActivationActions& actions_;
    ActivationReport report_;
    std::optional<nix::StorePath> previous_;
    std::string previous_link_;
    bool activated_ = false;
    bool units_failed_ = false;
    bool profile_touched_ = false;
    bool boot_touched_ = false;
};

} // namespace

ActivationReport activate(const ActivationPlan& plan, ActivationActions& actions) {
    return Activation(plan, actions).run();
}

} // namespace waggle::agent

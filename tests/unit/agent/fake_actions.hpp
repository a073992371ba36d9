#pragma once

#include "agent/activation/system_actions.hpp"
#include "agent/node/boot_loader.hpp"
#include "agent/state/life.hpp"
#include "shared/base/error.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace waggle::agent {

// A boot loader that records the calls it receives.
class FakeBootLoader : public BootLoader {
public:
    explicit FakeBootLoader(std::vector<std::string>& done) : done_(done) {}

    std::string_view name() const override { return can_boot_once_ ? "grub" : "extlinux"; }
    std::string why_not_once() const override { return can_boot_once_ ? "" : "has no entry for one boot"; }
    void boot_once(const nix::StorePath& toplevel) override {
        done_.push_back("boot once " + std::string(toplevel.name()));
        once = toplevel;
    }
    void forget_once() override { once.reset(); }

    bool can_boot_once_ = true;
    std::optional<nix::StorePath> once; // what it boots next

private:
    std::vector<std::string>& done_;
};

inline constexpr int times_out = -2; // as an exit code

// An in-memory machine on which every step succeeds unless the test specifies otherwise. Records the steps.
class FakeActions : public SystemActions {
public:
    explicit FakeActions(protocol::Goal goal, DeploymentState state = DeploymentState::activating) {
        record_.id = protocol::DeploymentId::parse(std::string(64, '7'));
        record_.goal = goal;
        record_.toplevel = new_system;
        record_.previous_system = old_system;
        record_.previous_profile = old_system;
        record_.previous_profile_link = link;
        record_.boot_id = boot;
        record_.state = state;
        record_.state_log = {{DeploymentState::activating, test_time}};
        if (state != DeploymentState::activating)
            record_.state_log.push_back({state, test_time});
        if (state == DeploymentState::activated || state == DeploymentState::committing)
            current = new_system;
    }

    static inline const auto old_system = test_path('a', "old");
    static inline const auto new_system = test_path('b', "new");

    DeploymentRecord record_;
    std::optional<nix::StorePath> current = old_system;
    std::optional<nix::StorePath> profile_ = old_system;
    std::string link = "system-3-link";
    std::string boot = "boot-1";
    bool knows_check = false;
    bool needs_reboot_ = false;
    std::map<std::string, int> exit_codes; // "new test" → 4; other negative numbers: killed
    std::set<std::string> does_nothing;    // systems whose script ends before it activates anything
    std::vector<std::string> failed;
    std::vector<std::string> failed_when_settled; // besides
    std::vector<std::string> other_failures;
    std::optional<std::string> lock_holder;
    std::string inhibitors;
    std::vector<std::string> done_before_units;
    std::optional<std::string> unhealthy;
    int fails_to_write_at = 0; // the n-th change of the record
    std::vector<SecretsStep> secret_steps;
    std::optional<SecretsStep> secrets_fail_at;
    bool secrets_change = true;
    bool leaves_secrets = false; // one could not be removed
    std::vector<std::string> done;
    std::vector<std::string> said;
    FakeBootLoader loader{done};

    std::vector<std::string> state_log() const {
        std::vector<std::string> states;
        for (const auto& entry : record_.state_log)
            states.emplace_back(to_string(entry.state));
        return states;
    }

    DeploymentRecord record() override { return record_; }
    DeploymentRecord change(const std::function<void(DeploymentRecord&)>& edit) override {
        if (++changes_ == fails_to_write_at)
            throw Error("no space left on device");
        auto next = record_;
        edit(next);
        return record_ = next;
    }
    Time clock() override { return test_time; }
    void say(std::string_view line) override { said.emplace_back(line); }

    std::optional<nix::StorePath> current_system() override { return current; }
    std::optional<nix::StorePath> profile() override { return profile_; }
    std::string profile_link() override { return link; }
    std::optional<std::uint64_t> generation() override { return 4; }
    std::string boot_id() override { return boot; }
    void remember_units() override { done_before_units = done; }
    FailedUnits failed_units(Deadline until) override {
        FailedUnits units{.blamed = {}, .others = other_failures};
        const bool settled = until > std::chrono::steady_clock::now();
        for (const auto& unit : failed)
            (std::ranges::find(record_.failed_units, unit) == record_.failed_units.end() ? units.blamed : units.others)
                .push_back(unit);
        if (settled)
            std::ranges::copy(failed_when_settled, std::back_inserter(units.blamed));
        return units;
    }
    std::chrono::milliseconds settle_time() override { return std::chrono::hours(1); }
    void say_log_of(const std::string& unit) noexcept override { said.push_back("log of " + unit); }
    void pause(std::chrono::seconds) override {}
    std::optional<std::string> switch_lock_holder() override { return lock_holder; }
    std::string changed_inhibitors(const nix::StorePath&) noexcept override { return inhibitors; }

    bool has_check(const nix::StorePath&) override { return knows_check; }
    End switch_to_configuration(const nix::StorePath& toplevel, std::string_view action,
                                const Switch& options) override {
        const auto step = std::string(toplevel.name()) + " " + std::string(action) +
                          (options.no_check ? " unchecked" : "") +
                          (options.install_boot_loader ? " with the boot loader" : "");
        const auto end = act(step);
        if (action == "test" && (end.success() || end.code == 4) &&
            !does_nothing.contains(std::string(toplevel.name())))
            current = toplevel;
        return end;
    }
    End set_profile(const nix::StorePath& toplevel) override {
        const auto end = act("profile");
        if (end.success()) {
            profile_ = toplevel;
            link = "system-4-link";
        }
        return end;
    }
    void drop_old_generations(const DeploymentRecord&) noexcept override {}
    void restore_profile_link(const std::string& to) override {
        done.push_back("restore " + to);
        link = to;
        profile_ = old_system;
    }
    bool install_secrets(SecretsStep step) override {
        secret_steps.push_back(step);
        if (step == secrets_fail_at)
            throw Error("this node has no user nginx");
        if (leaves_secrets && step == SecretsStep::after_activation) {
            record_.problem_code = secrets_left;
            record_.problem = "secret old was not removed";
        }
        return secrets_change;
    }
    std::optional<std::string> health_problem() override { return unhealthy; }

    void arm_confirmation(const DeploymentRecord&) override { done.emplace_back("arm"); }
    void disarm_activation_timer() noexcept override {}
    void disarm() noexcept override { disarmed = true; }
    End restart_agent() override { return act("restart agent"); }
    void start_bus() noexcept override { done.emplace_back("bus"); }
    void start_default_target() noexcept override { done.emplace_back("default.target"); }
    void reboot() override { done.emplace_back("reboot"); }
    BootLoader& boot_loader() override { return loader; }
    void set_boot_watch(const DeploymentRecord&) override { watched = true; }
    void remove_boot_watch() noexcept override { watched = false; }
    bool needs_reboot(const nix::StorePath&) override { return needs_reboot_; }

    bool disarmed = false;
    bool watched = false; // its next boot

private:
    End act(const std::string& step) {
        done.push_back(step);
        const int code = exit_codes.contains(step) ? exit_codes[step] : 0;
        if (code == times_out)
            return {std::nullopt, "it did not end within 30 s and was killed", true};
        if (code < 0)
            return {std::nullopt, "killed by signal 9"};
        return {code, "exit code " + std::to_string(code)};
    }

    int changes_ = 0;
};

} // namespace waggle::agent

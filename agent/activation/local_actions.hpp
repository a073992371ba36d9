#pragma once

#include "agent/activation/system_actions.hpp"
#include "agent/node/boot_loader.hpp"
#include "agent/node/host.hpp"
#include "agent/node/systemd.hpp"
#include "agent/units/transient_units.hpp"
#include "shared/base/process.hpp"

namespace waggle::agent {

// Production implementation: runs child processes that inherit our stdout and stderr, and edits the profile's links.
class LocalActions : public SystemActions {
public:
    explicit LocalActions(StateKeeper& state)
        : state_(state), units_(state.folder()), secrets_(state, [this](std::string_view line) { say(line); }) {}

    DeploymentRecord record() override;
    DeploymentRecord change(const std::function<void(DeploymentRecord&)>& edit) override;
    Time clock() override { return now(); }
    void say(std::string_view line) override;

    std::optional<nix::StorePath> current_system() override { return host_.current_system(); }
    std::optional<nix::StorePath> profile() override { return host_.profile(); }
    std::string profile_link() override { return host_.profile_link(); }
    std::optional<std::uint64_t> generation() override { return host_.profile_generation(); }
    std::string boot_id() override { return host_.boot_id(); }
    void remember_units() override { units_before_ = unit_invocations(); }
    FailedUnits failed_units(Deadline until) override;
    std::chrono::milliseconds settle_time() override;
    void say_log_of(const std::string& unit) noexcept override;
    void pause(std::chrono::seconds duration) override;
    std::optional<std::string> switch_lock_holder() override;
    std::string changed_inhibitors(const nix::StorePath& toplevel) noexcept override;

    bool has_check(const nix::StorePath& toplevel) override;
    End switch_to_configuration(const nix::StorePath& toplevel, std::string_view action,
                                const Switch& options) override;
    End set_profile(const nix::StorePath& toplevel) override;
    void drop_old_generations(const DeploymentRecord& record) noexcept override;
    void restore_profile_link(const std::string& link) override;
    bool install_secrets(SecretsStep step) override { return secrets_.carry_out(step); }
    std::optional<std::string> health_problem() override;

    void arm_confirmation(const DeploymentRecord& record) override { units_.arm_confirmation_timer(record); }
    void disarm_activation_timer() noexcept override;
    void disarm() noexcept override;
    End restart_agent() override;
    void start_bus() noexcept override;
    void start_default_target() noexcept override;
    void reboot() override;
    BootLoader& boot_loader() override;
    void set_boot_watch(const DeploymentRecord& record) override;
    void remove_boot_watch() noexcept override;
    bool needs_reboot(const nix::StorePath& toplevel) override;

private:
    void restart_agent_with_socket();          // throws Error
    void await_switch_lock(Deadline deadline); // returns at the deadline at the latest

    StateKeeper& state_;
    SystemdUnits units_;
    DeploymentSecrets secrets_;
    LocalHost host_;
    UnitInvocations units_before_;            // running before the switch; empty after a boot
    std::unique_ptr<BootLoader> boot_loader_; // detected on first use
};

} // namespace waggle::agent

#pragma once

#include "agent/state/recovery_cause.hpp"
#include "agent/state/state.hpp"
#include "shared/base/interrupt.hpp"
#include "shared/base/time.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// The transient units that change the system. They outlive sessions and the agent. docs/explanation/life.md lists them.
class TransientUnits {
public:
    virtual ~TransientUnits() = default;

    // Each throws Error if systemd refuses.
    virtual void arm_activation_timer(const DeploymentRecord& record) = 0;
    virtual void arm_confirmation_timer(const DeploymentRecord& record) = 0;
    virtual void disarm_activation_timer() = 0;
    virtual void disarm() = 0; // both
    virtual void start_activation(const DeploymentRecord& record) = 0;
    virtual void start_commit(const DeploymentRecord& record) = 0;
    // Starts at once. `caller` is RecoveryCause::agent, or RecoveryCause::boot_watch for a leftover watchdog.
    virtual void start_recovery(const DeploymentRecord& record, RecoveryCause caller) = 0;

    // Calls `look` now, whenever the state file changes, and from time to time, until it returns true; `working` says
    // whether one of the services is alive. Forwards the units' output in between. Throws Interrupted.
    using Look = std::function<bool(bool working)>;
    virtual void watch(const DeploymentRecord& record, const std::function<void(std::string_view)>& on_line,
                       const Look& look, const Interrupt& interrupt) = 0;
};

// Uses systemd-run, systemd's private socket and journalctl.
class SystemdUnits : public TransientUnits {
public:
    explicit SystemdUnits(std::filesystem::path state_dir);

    void arm_activation_timer(const DeploymentRecord& record) override;
    void arm_confirmation_timer(const DeploymentRecord& record) override;
    void disarm_activation_timer() override;
    void disarm() override;
    void start_activation(const DeploymentRecord& record) override;
    void start_commit(const DeploymentRecord& record) override;
    void start_recovery(const DeploymentRecord& record, RecoveryCause caller) override;
    void watch(const DeploymentRecord& record, const std::function<void(std::string_view)>& on_line, const Look& look,
               const Interrupt& interrupt) override;

    // Kills the activation's whole cgroup and waits until it is empty. Throws Error, TimedOut.
    static void kill_activation();

private:
    std::filesystem::path state_dir_;
};

// The arguments of systemd-run that differ between units.
struct UnitSpec {
    std::string unit;
    std::string description;
    std::vector<std::string> options; // for systemd-run, before --
    std::vector<std::string> command; // after --
};
UnitSpec activation_spec(const DeploymentRecord& record, const std::filesystem::path& state_dir);
UnitSpec commit_spec(const DeploymentRecord& record, const std::filesystem::path& state_dir, std::string_view agent);
// `caller` chooses the unit: a timer, or a service that starts at once.
UnitSpec recovery_spec(const DeploymentRecord& record, const std::filesystem::path& state_dir, RecoveryCause caller);
std::vector<std::string> systemd_run_command(const UnitSpec& words, std::string_view path_variable);

} // namespace waggle::agent

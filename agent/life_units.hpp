#pragma once

#include "agent/roll_back.hpp"
#include "agent/state.hpp"
#include "shared/base/interrupt.hpp"
#include "shared/base/time.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// The transient units in which the system is changed; they outlive sessions and the agent. docs/life.md lists them.
class LifeUnits {
public:
    virtual ~LifeUnits() = default;

    // Each throws Error when systemd refused.
    virtual void arm_activation_timer(const DeploymentRecord& record) = 0;
    virtual void arm_confirmation_timer(const DeploymentRecord& record) = 0;
    virtual void disarm_activation_timer() = 0;
    virtual void disarm() = 0; // both
    virtual void start_activation(const DeploymentRecord& record) = 0;
    virtual void start_commit(const DeploymentRecord& record) = 0;
    // At once. `caller` is Caller::agent, or Caller::boot_watch for what a watch left.
    virtual void start_recovery(const DeploymentRecord& record, Caller caller) = 0;

    // Calls `look` now, whenever the state file changed, and from time to time, until it returns true; `working` says
    // whether one of the services is alive. Passes the units' output on in between. Throws Interrupted.
    using Look = std::function<bool(bool working)>;
    virtual void watch(const DeploymentRecord& record, const std::function<void(std::string_view)>& on_line,
                       const Look& look, const Interrupt& interrupt) = 0;
};

// By systemd-run, systemctl and journalctl.
class SystemdUnits : public LifeUnits {
public:
    explicit SystemdUnits(std::filesystem::path state_dir);

    void arm_activation_timer(const DeploymentRecord& record) override;
    void arm_confirmation_timer(const DeploymentRecord& record) override;
    void disarm_activation_timer() override;
    void disarm() override;
    void start_activation(const DeploymentRecord& record) override;
    void start_commit(const DeploymentRecord& record) override;
    void start_recovery(const DeploymentRecord& record, Caller caller) override;
    void watch(const DeploymentRecord& record, const std::function<void(std::string_view)>& on_line, const Look& look,
               const Interrupt& interrupt) override;

    // SIGKILL to the activation's whole cgroup; returns when nothing is left of it. Throws Error, TimedOut.
    static void kill_activation();

private:
    std::filesystem::path state_dir_;
};

// What systemd-run is called with, but for the words that are the same for all units.
struct UnitWords {
    std::string unit;
    std::string description;
    std::vector<std::string> options; // of systemd-run, before --
    std::vector<std::string> command; // after --
};
UnitWords activation_words(const DeploymentRecord& record, const std::filesystem::path& state_dir);
UnitWords commit_words(const DeploymentRecord& record, const std::filesystem::path& state_dir, std::string_view agent);
// `caller` chooses the unit: a timer, or at once.
UnitWords recovery_words(const DeploymentRecord& record, const std::filesystem::path& state_dir, Caller caller);
std::vector<std::string> systemd_run_command(const UnitWords& words, std::string_view path_variable);

} // namespace waggle::agent

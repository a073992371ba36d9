#pragma once

#include "agent/activation/judge.hpp"
#include "agent/secrets/deployment_secrets.hpp"
#include "agent/state/state.hpp"
#include "shared/base/time.hpp"
#include "shared/nix/store_path.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

class BootLoader;

// The actions of activation, commit and rollback on the machine, and access to the deployment's record.
class SystemActions {
public:
    virtual ~SystemActions() = default;

    // How a program ended: its exit code, or why it has none (signal, deadline, not startable).
    struct End {
        std::optional<int> code;
        std::string text; // "exit code 4", "it did not end within 1800 s and was killed"
        bool timed_out = false;
        bool success() const { return code == 0; }
    };
    // An exit code of switch-to-configuration: the system was switched to, and some of its units have failed.
    static constexpr int units_failed = 4;
    struct Switch {
        bool no_check = false;            // sets NIXOS_NO_CHECK, for a rollback
        bool waits_for_lock = false;      // for another process's switch to end, within the timeout
        bool install_boot_loader = false; // sets NIXOS_INSTALL_BOOTLOADER
        std::chrono::seconds timeout{1800};
    };

    virtual DeploymentRecord record() = 0;
    // Persists the change before it returns. Throws when it cannot.
    virtual DeploymentRecord change(const std::function<void(DeploymentRecord&)>& edit) = 0;
    virtual Time clock() = 0;
    virtual void say(std::string_view line) = 0; // to the journal, and from there to the trigger

    virtual std::optional<nix::StorePath> current_system() = 0;
    virtual std::optional<nix::StorePath> profile() = 0;
    virtual std::string profile_link() = 0; // "" when there is no profile
    virtual std::optional<std::uint64_t> generation() = 0;
    virtual std::string boot_id() = 0;
    // Remembers which units run, at the beginning of the switch. Throws Error.
    virtual void remember_units() = 0;
    // The units that have failed. While something that the switch started can still fail, waits until `until`.
    // Throws Error.
    virtual FailedUnits failed_units(Deadline until) = 0;
    // deployment.rollback.settleTime of the new system.
    virtual std::chrono::milliseconds settle_time() = 0;
    // Logs the unit's last lines.
    virtual void say_log_of(const std::string& unit) noexcept = 0;
    virtual void pause(std::chrono::seconds duration) = 0;

    // The holder of the switch lock, if any (agent/activation/switch_lock.hpp).
    virtual std::optional<std::string> switch_lock_holder() = 0;
    // The system.switch.inhibitors of NixOS that differ from the running system: "dbus-implementation (dbus, then
    // broker)". Empty if there are none.
    virtual std::string changed_inhibitors(const nix::StorePath& toplevel) noexcept = 0;
    // Whether the toplevel's switch-to-configuration supports `check`.
    virtual bool has_check(const nix::StorePath& toplevel) = 0;
    virtual End switch_to_configuration(const nix::StorePath& toplevel, std::string_view action,
                                        const Switch& options) = 0;
    virtual End set_profile(const nix::StorePath& toplevel) = 0;
    // Deletes the generations that services.waggle-agent.keep does not retain.
    virtual void drop_old_generations(const DeploymentRecord& record) noexcept = 0;
    virtual void restore_profile_link(const std::string& link) = 0; // throws Error
    // Returns whether a file was changed. Throws Error.
    virtual bool install_secrets(SecretsStep step) = 0;
    // Runs the deployment's health checks. Returns the first failure, or nullopt if all succeed.
    virtual std::optional<std::string> health_problem() = 0;

    // Starts the timer that rolls back unless a confirmation arrives in time. Throws Error.
    virtual void arm_confirmation(const DeploymentRecord& record) = 0;
    virtual void disarm_activation_timer() noexcept = 0;
    virtual void disarm() noexcept = 0; // both timers
    virtual End restart_agent() = 0;
    // Starts the system bus, which switch-to-configuration needs and emergency mode stops.
    virtual void start_bus() noexcept = 0;
    virtual void start_default_target() noexcept = 0;
    virtual void reboot() = 0;

    virtual BootLoader& boot_loader() = 0;
    // Installs the boot watchdog, which rolls back from a booted system without an agent (agent/node/boot_watch.hpp).
    // Throws Error.
    virtual void set_boot_watch(const DeploymentRecord& record) = 0;
    virtual void remove_boot_watch() noexcept = 0;
    // Whether the kernel, the initrd or the kernel modules differ from the booted ones.
    virtual bool needs_reboot(const nix::StorePath& toplevel) = 0;
};

} // namespace waggle::agent

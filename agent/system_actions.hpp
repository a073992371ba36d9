#pragma once

#include "agent/secrets/deployment_secrets.hpp"
#include "agent/state.hpp"
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

// What activation, commit and rollback do to the machine, and the record of the deployment they work on.
class SystemActions {
public:
    virtual ~SystemActions() = default;

    // How a program ended: its exit code, or why it has none (signal, deadline, not startable).
    struct End {
        std::optional<int> code;
        std::string text; // "exit code 4", "it did not end within 30 minutes"
        bool success() const { return code == 0; }
    };
    struct Switch {
        bool no_check = false; // sets NIXOS_NO_CHECK, for the way back
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
    virtual std::vector<std::string> failed_units() = 0;

    // Whether the toplevel's script knows `check`.
    virtual bool has_check(const nix::StorePath& toplevel) = 0;
    virtual End switch_to_configuration(const nix::StorePath& toplevel, std::string_view action,
                                        const Switch& options) = 0;
    virtual End set_profile(const nix::StorePath& toplevel) = 0;
    // Generations that services.waggle-agent.keep does not keep.
    virtual void drop_old_generations(const DeploymentRecord& record) noexcept = 0;
    virtual void restore_profile_link(const std::string& link) = 0; // throws Error
    // Whether a file was changed. Throws Error.
    virtual bool install_secrets(SecretsStep step) = 0;
    // Runs the deployment's health checks; nullopt when all of them succeed, else which one did not.
    virtual std::optional<std::string> health_problem() = 0;

    // The timer for the time between the end of the activation and the confirmation. Throws Error.
    virtual void arm_confirmation(const DeploymentRecord& record) = 0;
    virtual void disarm_activation_timer() noexcept = 0;
    virtual void disarm() noexcept = 0; // both timers
    virtual End restart_agent() = 0;
    virtual void start_default_target() noexcept = 0;
    virtual void reboot() = 0;

    virtual BootLoader& boot_loader() = 0;
    // What brings the node back from a system that is booted once and has no agent (agent/boot_watch.hpp). Throws
    // Error.
    virtual void set_boot_watch(const DeploymentRecord& record) = 0;
    virtual void remove_boot_watch() noexcept = 0;
    // Whether the system has another kernel, initrd or modules than the one that was booted.
    virtual bool needs_reboot(const nix::StorePath& toplevel) = 0;
};

} // namespace waggle::agent

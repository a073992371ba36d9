#pragma once

#include "agent/activation_report.hpp"
#include "shared/nix/store_path.hpp"
#include "shared/protocol/deployment.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace waggle::agent {

struct ActivationPlan {
    protocol::DeploymentId id;
    protocol::Goal goal = protocol::Goal::switch_;
    nix::StorePath toplevel;
    bool keep_on_failed_units = false;
    bool rollback = true;
};

// What an activation does to the machine.
class ActivationActions {
public:
    virtual ~ActivationActions() = default;

    // How a program ended: its exit code, or why it has none (signal, deadline, not startable).
    struct End {
        std::optional<int> code;
        std::string text; // "exit code 4", "it did not end within 30 minutes"
        bool success() const { return code == 0; }
    };

    virtual std::optional<nix::StorePath> current_system() = 0;
    // Whether the toplevel's script knows `check`.
    virtual bool has_check(const nix::StorePath& toplevel) = 0;
    // `no_check`: sets NIXOS_NO_CHECK, for the way back.
    virtual End switch_to_configuration(const nix::StorePath& toplevel, std::string_view action, bool no_check) = 0;
    // The name of the profile's generation link; "" when there is no profile.
    virtual std::string profile_link() = 0;
    virtual End set_profile(const nix::StorePath& toplevel) = 0;
    virtual void restore_profile_link(const std::string& link) = 0; // throws Error
    virtual std::optional<std::uint64_t> generation() = 0;
    // Persists how far it is, before the next step.
    virtual void report(const ActivationReport& report) = 0;
    virtual void say(std::string_view line) = 0; // to the journal
};

// Makes the machine run, or boot into, a toplevel; goes back at once to what ran before when that fails.
// The report's outcome is always set.
ActivationReport activate(const ActivationPlan& plan, ActivationActions& actions);

// The hidden subcommand `activate`: runs in its own transient unit, outside of the daemon's sandbox. Its exit code is
// that of the outcome.
int run_activation(const ActivationPlan& plan, const std::filesystem::path& state_dir);

} // namespace waggle::agent

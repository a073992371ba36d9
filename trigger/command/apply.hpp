#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/command/subcommand.hpp"

#include <string>
#include <vector>

namespace waggle::trigger {

struct ApplyOptions {
    protocol::Goal goal = protocol::Goal::switch_;
    BuildOptions build;
    ConnectOptions connect;
    bool force = false;
    bool remove_agent = false;
    bool no_rollback = false;
    bool reset_state = false;
    bool install_boot_loader = false;
    bool reboot = false;
    bool reboot_if_needed = false;
    bool replace_unknown_profiles = false;
    bool no_keys = false; // nodes keep the secrets they have
};

// "switch", "boot", …, in the order of the help.
std::vector<std::string> goal_words();

// Evaluates, builds and deploys. Returns the exit code. Throws Error for a problem that concerns no single node.
int apply(const GlobalOptions& global, const ApplyOptions& options, const Interrupt& interrupt);

Subcommand apply_subcommand(CLI::App& waggle);

} // namespace waggle::trigger

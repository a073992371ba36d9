#pragma once

#include "agent/roll_back.hpp"
#include "shared/protocol/deployment.hpp"

#include <filesystem>

namespace waggle::agent {

// The subcommands that change the system, each in a transient unit of its own. They do nothing when the newest
// deployment is another one than `id`. The process's exit code.
int run_activation(const std::filesystem::path& state_dir, const protocol::DeploymentId& id);
int run_commit(const std::filesystem::path& state_dir, const protocol::DeploymentId& id);
int run_recovery(const std::filesystem::path& state_dir, const protocol::DeploymentId& id, Caller caller);
// By the watch over a boot (agent/boot_watch.hpp), some time after it: `system` is what was to be booted once.
int run_boot_watch(const std::filesystem::path& state_dir, const protocol::DeploymentId& id,
                   const nix::StorePath& system);
// After the end of one of these units: starts the recovery of what it did not finish.
int take_up(const std::filesystem::path& state_dir, const protocol::DeploymentId& id);

} // namespace waggle::agent

#pragma once

#include "agent/state/recovery_cause.hpp"
#include "shared/protocol/deployment.hpp"

#include <filesystem>

namespace waggle::agent {

// The subcommands that change the system, each in a transient unit of its own. They do nothing unless `id` is the
// newest deployment. Each returns the process's exit code.
int run_activation(const std::filesystem::path& state_dir, const protocol::DeploymentId& id);
int run_commit(const std::filesystem::path& state_dir, const protocol::DeploymentId& id);
int run_recovery(const std::filesystem::path& state_dir, const protocol::DeploymentId& id, RecoveryCause caller);
// Runs from the boot watchdog (agent/node/boot_watch.hpp), some time after a boot. `system` is the one-time boot's.
int run_boot_watch(const std::filesystem::path& state_dir, const protocol::DeploymentId& id,
                   const nix::StorePath& system);
// Runs after the end of one of these units, and starts the recovery of an unfinished deployment.
int resume_recovery(const std::filesystem::path& state_dir, const protocol::DeploymentId& id);

} // namespace waggle::agent

#pragma once

#include "agent/activation/system_actions.hpp"
#include "agent/state/recovery_cause.hpp"

#include <optional>
#include <string>

namespace waggle::agent {

// Records the failure, and which mounts have failed, and rolls back to the previous system. If rollback is disabled,
// leaves the system as it is.
void fail(SystemActions& actions, const Problem& cause);

// Restores the previous secrets. Logs and returns the problem if that fails, or an empty string; a rollback continues
// in either case.
std::string put_secrets_back(SystemActions& actions, SecretsStep step) noexcept;

// The activation did not end in time. Its own limit and the rollback timer's are the same, so either may come first.
Problem activation_timed_out(const DeploymentRecord& record);

// The reason that a rolled-back deployment reports.
Problem rollback_reason(const DeploymentRecord& record, RecoveryCause caller, bool rebooted);

// Rolls back without a readable record: switches to the system that ran before the deployment, unless another system
// both runs and boots. Reboots as a last resort. Throws Error if the previous system is unknown (nullopt).
void roll_back_to_root(SystemActions& actions, const std::optional<nix::StorePath>& previous_system);

// Continues an interrupted rollback. The record is `rolling_back`.
void resume_rollback(SystemActions& actions);

} // namespace waggle::agent

#pragma once

#include "agent/daemon/environment.hpp"

namespace waggle::agent {

// What the daemon does between deployments, so that none leaves anything behind.

// Adds the newest deployment to the history, if it has ended. Does nothing the second time.
void remember_end(const Environment& environment) noexcept;

// Removes a boot watchdog that is left because the process that should have removed it was killed or could not write.
void remove_left_boot_watch(const Environment& environment) noexcept;

// Does both, and returns the memory that a deployment took. Called after the end of each deployment.
void clean_up_after_deployment(const Environment& environment) noexcept;

// Releases GC roots whose retention has expired (agent/state/retention.hpp). Must not be called while a deployment
// runs.
void release_expired_roots(const Environment& environment);

} // namespace waggle::agent

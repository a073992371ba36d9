#pragma once

#include "agent/activation/system_actions.hpp"
#include "agent/state/recovery_cause.hpp"

namespace waggle::agent {

// Whether the record's system must be started by a boot, and not by a switch of the running system.
bool starts_by_boot(const DeploymentRecord& record, SystemActions& actions);

// Makes the boot loader start the new system once at the next boot, and reboots if the record says so. Without
// rollback, makes the new system the permanent default instead. The record is `activating`.
void prepare_boot(SystemActions& actions);

// Continues after the boot that a record in `awaiting_reboot` waits for. Keeps the new system, or waits for its
// confirmation, if it was booted and is healthy. Otherwise returns the node to the previous system, by a reboot if
// needed.
void inspect_boot(SystemActions& actions, RecoveryCause caller);

} // namespace waggle::agent

#pragma once

#include "agent/roll_back.hpp"
#include "agent/system_actions.hpp"

#include <filesystem>

namespace waggle::agent {

// Whether kernel, initrd or kernel modules of a system are others than those that were booted. Both are toplevels.
bool kernel_differs(const std::filesystem::path& booted, const std::filesystem::path& system);

// Whether the record's system is to be started by a boot, not by a switch of the running system.
bool starts_by_boot(const DeploymentRecord& record, SystemActions& actions);

// Whether the boot loader may have been told to boot it once.
bool may_boot_once(const DeploymentRecord& record);

// Has the boot loader boot the new system next, once, and reboots where the record says so. Without rollback it becomes
// the default for good. The record is `activating`.
void prepare_boot(SystemActions& actions);

// Takes back what prepare_boot did: the boot loader's entry and the watch. What cannot be removed is said.
void forget_boot(SystemActions& actions) noexcept;

// Of a record that is `awaiting_reboot`, after the boot: the new system is kept, or waits for its confirmation, when it
// was booted and is healthy. Otherwise the node is, or boots, what it was before.
void look_at_boot(SystemActions& actions, Caller caller);

} // namespace waggle::agent

#pragma once

#include "agent/activation/system_actions.hpp"

#include <filesystem>

namespace waggle::agent {

// Whether the kernel, the initrd or the kernel modules of `system` differ from those of `booted`. Both are toplevels.
bool kernel_differs(const std::filesystem::path& booted, const std::filesystem::path& system);

// Whether the boot loader may have an entry that boots the record's system once.
bool may_boot_once(const DeploymentRecord& record);

// Undoes prepare_boot (agent/activation/reboot.hpp): removes the boot loader's one-time entry and the boot watchdog.
// Logs what it cannot remove.
void forget_boot(SystemActions& actions) noexcept;

} // namespace waggle::agent

#include "agent/units/sandbox.hpp"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace waggle::agent {

namespace {

constexpr auto for_all = std::to_array<std::string_view>({
    "LimitCORE=0",
});

// There is no ProcSubset=pid, because /proc/sys/kernel/random/boot_id determines which bundle is in force. There are no
// PrivateUsers and PrivateTmp, because the report inspects files of the node's users, wherever they are. There is no
// ProtectProc, because systemd-run of NixOS 20.09 refuses properties that it does not know; in a unit file they only
// cause a warning.
constexpr auto for_small_programs = std::to_array<std::string_view>({
    "AmbientCapabilities=",
    "NoNewPrivileges=yes",
    "UMask=0077",
    "PrivateDevices=yes",
    "PrivateNetwork=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "RestrictAddressFamilies=AF_UNIX", // systemd's private socket, and nscd's for user names
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "KeyringMode=private",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@resources @setuid @keyring",
    "SystemCallErrorNumber=EPERM",
});

constexpr auto for_reports = std::to_array<std::string_view>({
    "CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_IPC_LOCK", // files belong to other users; memory is locked
    "ProtectSystem=full",                                  // not strict: locks lie in the state directory
    "ProtectHome=read-only",
});

constexpr auto for_requests = std::to_array<std::string_view>({
    "CapabilityBoundingSet=CAP_SYS_BOOT", // logind accepts requests from processes that have it
    "ProtectSystem=strict",
    "ProtectHome=yes",
});

} // namespace

std::vector<std::string> sandbox_options(UnitPurpose purpose) {
    std::vector<std::string> options;
    const auto add = [&](const auto& settings) {
        for (const auto setting : settings)
            options.push_back(fmt::format("--property={}", setting));
    };
    add(for_all);
    switch (purpose) {
    case UnitPurpose::change_system:
    case UnitPurpose::check_health: break;
    case UnitPurpose::report_secrets:
        add(for_small_programs);
        add(for_reports);
        break;
    case UnitPurpose::ask_systemd:
        add(for_small_programs);
        add(for_requests);
        break;
    }
    return options;
}

} // namespace waggle::agent

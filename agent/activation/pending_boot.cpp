#include "agent/activation/pending_boot.hpp"

#include "agent/node/boot_loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <system_error>

namespace waggle::agent {

bool kernel_differs(const std::filesystem::path& booted, const std::filesystem::path& system) {
    return std::ranges::any_of(std::to_array({"kernel", "initrd", "kernel-modules"}), [&](const char* part) {
        std::error_code missing_before;
        std::error_code missing_now;
        const auto before = std::filesystem::canonical(booted / part, missing_before);
        const auto now = std::filesystem::canonical(system / part, missing_now);
        return bool(missing_before) != bool(missing_now) || (!missing_now && before != now);
    });
}

bool may_boot_once(const DeploymentRecord& record) {
    return record.goal == protocol::Goal::boot || record.reboot != protocol::Reboot::never;
}

void forget_boot(SystemActions& actions) noexcept {
    try {
        actions.boot_loader().forget_once();
    } catch (const std::exception& error) {
        actions.say(fmt::format("the boot loader's entry for one boot was not removed: {}", error.what()));
    }
    actions.remove_boot_watch();
}

} // namespace waggle::agent

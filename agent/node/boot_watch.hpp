#pragma once

#include "agent/state/state.hpp"

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// The boot watchdog, which rolls back from a system that was booted once and whose agent never starts. It is a timer
// alongside the system's own units, in a folder that NixOS does not manage, so that every boot of any system starts it.
// It runs the previous agent. It is needed only until the new system is kept or gone.
class BootWatch {
public:
    explicit BootWatch(std::filesystem::path folder = "/etc/systemd/system.control") : folder_(std::move(folder)) {}

    // Installs the watchdog for all boots from now on. Throws Error if the folder is not writable, and may leave a part
    // of it then.
    void set(const DeploymentRecord& record, const std::filesystem::path& state_dir,
             std::string_view path_variable) const;
    // Whether the watchdog is installed, or a part of it, which a kill or a full disk may leave.
    bool is_set() const;
    // Removes as much as possible, even of a partial installation. It is no error if there is none. Throws the first
    // Error after it has tried everything.
    void remove() const;

private:
    std::vector<std::filesystem::path> files() const; // in the order of their removal

    std::filesystem::path folder_;
};

inline constexpr auto boot_watch_timer = "waggle-watch.timer";

// The time after the kernel's start within which the new system's agent must have resumed the deployment. It is at most
// the time that the activation may take; a board with a slow card needs minutes.
std::chrono::seconds boot_time(const DeploymentRecord& record);

struct BootWatchUnits {
    std::string timer;
    std::string service;
};
BootWatchUnits boot_watch_units(const DeploymentRecord& record, const std::filesystem::path& state_dir,
                                std::string_view path_variable);

} // namespace waggle::agent

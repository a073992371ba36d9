#pragma once

#include "agent/state/state.hpp"

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// What brings a node back from a system that was booted once and whose agent never starts: a timer beside the system's
// own units, in a folder that NixOS does not manage, so that every boot of any system starts it. It runs the agent that
// was there before. Needed only until the new system is kept or gone.
class BootWatch {
public:
    explicit BootWatch(std::filesystem::path folder = "/etc/systemd/system.control") : folder_(std::move(folder)) {}

    // For the boots from now on. Throws Error where that folder cannot be written; a part may be there then.
    void set(const DeploymentRecord& record, const std::filesystem::path& state_dir,
             std::string_view path_variable) const;
    // Or a part of it, which a kill or a full disk may leave.
    bool is_set() const;
    // As much as can be, also of a part. No error when there is none. Throws the first Error after all has been tried.
    void remove() const;

private:
    std::vector<std::filesystem::path> files() const; // in the order in which they go

    std::filesystem::path folder_;
};

inline constexpr auto boot_watch_timer = "waggle-watch.timer";

// From the kernel's start to the moment at which the new system's agent must have taken the deployment up. Not more
// than the activation may take; a board with a slow card needs minutes.
std::chrono::seconds boot_time(const DeploymentRecord& record);

struct BootWatchUnits {
    std::string timer;
    std::string service;
};
BootWatchUnits boot_watch_units(const DeploymentRecord& record, const std::filesystem::path& state_dir,
                                std::string_view path_variable);

} // namespace waggle::agent

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace waggle::trigger {

// The memory available to this process: the machine's (on a system that does not say, half of what it has), or what is
// left of a control group's limit, as in a container, where that is less.
std::optional<std::uint64_t> available_memory_bytes();

// What is left of the memory limits of this process's control groups, those of version 1 and 2, and of all above them;
// nullopt: no limit. `root` is the folder below which /proc and /sys are.
std::optional<std::uint64_t> cgroup_memory_left(const std::filesystem::path& root = "/");

// How large a process may become (RLIMIT_AS), for each process by itself; nullopt: no limit.
std::optional<std::uint64_t> address_space_limit();

// What the process has in memory; nullopt where the system does not say or there is no such process.
std::optional<std::uint64_t> resident_bytes(pid_t pid);

// "1.5G", "800M", or "80%" of what is available. Throws Error for anything else.
std::uint64_t parse_memory_size(std::string_view text, std::uint64_t available_bytes);

} // namespace waggle::trigger

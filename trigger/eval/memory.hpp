#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace waggle::trigger {

// Returns the memory available to this process: the machine's, or what is left of a control group's limit, as in a
// container, if that is less. Uses half of the total memory on a system that does not report the available memory.
std::optional<std::uint64_t> available_memory_bytes();

// Returns what is left of the memory limits of this process's control groups, version 1 and 2, and of all groups above
// them; nullopt: no limit. `root` is the folder that contains /proc and /sys.
std::optional<std::uint64_t> cgroup_memory_left(const std::filesystem::path& root = "/");

// The limit on the size of each single process (RLIMIT_AS); nullopt: no limit.
std::optional<std::uint64_t> address_space_limit();

// The process's resident memory; nullopt if the system does not report it or the process does not exist.
std::optional<std::uint64_t> resident_bytes(pid_t pid);

// Parses "1.5G", "800M", or "80%" of the available memory. Throws Error for anything else.
std::uint64_t parse_memory_size(std::string_view text, std::uint64_t available_bytes);

} // namespace waggle::trigger

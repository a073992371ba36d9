#pragma once

#include "shared/protocol/boot_files.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <string>

namespace waggle::agent {

// Where the boot loader copies kernels to.
struct BootRoom {
    std::filesystem::path folder;
    std::uint64_t free_bytes = 0;
    std::set<std::string> files;                                          // names of those that are there
    protocol::DeviceTrees device_trees = protocol::DeviceTrees::left_out; // whether they are copied there, too
};

// nullopt where that is no file system of its own: it has the store's space.
std::optional<BootRoom> find_boot_room(const std::filesystem::path& root = "/");

// What has to be copied there for a system. Boot loaders of NixOS add a suffix to names at most.
std::uint64_t missing_boot_bytes(std::span<const protocol::BootFile> wanted, const std::set<std::string>& present);

// Throws Stopped (agent/fetch.hpp) when there is no room for the files: what the trigger knows of before the first
// byte, and what the system itself shows once it is in the store.
void check_boot_room(std::span<const protocol::BootFile> wanted, const std::optional<BootRoom>& room);

} // namespace waggle::agent

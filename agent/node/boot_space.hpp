#pragma once

#include "shared/protocol/boot_files.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <string>

namespace waggle::agent {

// The file system that the boot loader copies kernels to.
struct BootSpace {
    std::filesystem::path folder;
    std::uint64_t free_bytes = 0;
    std::set<std::string> files;                                          // names of the present ones
    protocol::DeviceTrees device_trees = protocol::DeviceTrees::left_out; // whether they are copied as well
};

// Returns nullopt if it is not a separate file system, and thus shares the store's space.
std::optional<BootSpace> find_boot_space(const std::filesystem::path& root = "/");

// The bytes to copy for a system. Boot loaders of NixOS at most add a suffix to the names.
std::uint64_t missing_boot_bytes(std::span<const protocol::BootFile> wanted, const std::set<std::string>& present);

// Throws NotActivated (agent/state/not_activated.hpp) if there is not enough space for the files. Called with what the
// trigger knows before the first byte travels, and again with the system in the store.
void check_boot_space(std::span<const protocol::BootFile> wanted, const std::optional<BootSpace>& room);

} // namespace waggle::agent

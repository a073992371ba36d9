#pragma once

#include "shared/protocol/deployment.hpp"

#include <filesystem>
#include <vector>

namespace waggle::protocol {

enum class DeviceTrees { left_out, included };

// Returns the files that a boot loader copies to /boot for a system and its specialisations, as far as they are
// readable here: kernel and initrd, and on request the folder of device trees, which only extlinux copies. At most
// max_boot_files.
std::vector<BootFile> find_boot_files(const std::filesystem::path& toplevel, DeviceTrees device_trees,
                                      const std::filesystem::path& store = "/nix/store");

} // namespace waggle::protocol

#pragma once

#include "shared/protocol/deployment.hpp"

#include <filesystem>
#include <vector>

namespace waggle::trigger {

// What a boot loader copies to /boot for a system and its specialisations, as far as it can be read here; so a node
// knows before the first byte whether it has the room.
std::vector<protocol::BootFile> find_boot_files(const std::filesystem::path& toplevel,
                                                const std::filesystem::path& store = "/nix/store");

} // namespace waggle::trigger

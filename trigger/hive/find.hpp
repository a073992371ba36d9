#pragma once

#include <filesystem>
#include <optional>

namespace waggle::trigger {

// The absolute path of the hive.nix to use: the one that was named (a file, or the folder that holds it), else the
// first one upward from `folder`. Throws Error that says where it looked.
std::filesystem::path find_hive(const std::optional<std::filesystem::path>& named, const std::filesystem::path& folder);

} // namespace waggle::trigger

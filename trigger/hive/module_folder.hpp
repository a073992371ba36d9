#pragma once

#include <filesystem>

namespace waggle::trigger {

// The folder that contains source.nix: $WAGGLE_NIXOS_MODULE, or the one that was set when this program was built.
std::filesystem::path nixos_module_folder();

} // namespace waggle::trigger

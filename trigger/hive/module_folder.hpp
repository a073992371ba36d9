#pragma once

#include <filesystem>

namespace waggle::trigger {

// The folder with source.nix: $WAGGLE_NIXOS_MODULE, else the one this program was built with.
std::filesystem::path nixos_module_folder();

} // namespace waggle::trigger

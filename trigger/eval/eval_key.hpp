#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/hive/nix_options.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace waggle::trigger {

// Returns everything that can change the result of evaluating a locked hive: `lock`, Nix's version and settings, the
// options for Nix, and Waggle's own Nix files in `modules`. Returns nullopt if the evaluation may be impure, or if
// Nix's version or settings cannot be determined.
std::optional<std::string> eval_key(const std::string& lock, const NixOptions& nix,
                                    const std::filesystem::path& modules, const Interrupt& interrupt);

// Hashes the names and contents of the files below the folder.
std::string hash_of_files(const std::filesystem::path& folder);

} // namespace waggle::trigger

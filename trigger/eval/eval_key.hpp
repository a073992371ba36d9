#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/hive/nix_options.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace waggle::trigger {

// All that can change what the evaluation of a locked hive gives: `lock`, Nix's version and settings, the options for
// it, and Waggle's own Nix files in `modules`. nullopt when one of them cannot be found out.
std::optional<std::string> eval_key(const std::string& lock, const NixOptions& nix,
                                    const std::filesystem::path& modules, const Interrupt& interrupt);

// The hash of the files below the folder, by their names and contents.
std::string hash_of_files(const std::filesystem::path& folder);

} // namespace waggle::trigger

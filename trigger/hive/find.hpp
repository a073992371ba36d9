#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace waggle::trigger {

// Where a hive is: in a file, or in an output of a flake.
struct HivePlace {
    std::filesystem::path folder; // what is kept beside the hive is kept here: of a flake elsewhere, the current one
    std::filesystem::path file;   // absolute; empty for a flake
    std::string flake;            // as Nix is asked for it: an absolute folder, or a flake reference
    std::optional<std::string> output; // of the flake; nullopt: the first of those that Waggle knows
    bool is_local = true;              // the folder is the hive's own

    bool is_flake() const { return file.empty(); }
    // For messages.
    std::string to_string() const;
};

// The hive to use: the one that was named, else the first one upward from `folder`. Where a folder has both, its
// flake.nix is used and not its hive.nix. What can be named: a file, a folder, a flake reference; behind the latter two
// an output, as in ".#colmena". Throws Error that says where it looked.
HivePlace find_hive(const std::optional<std::filesystem::path>& named, const std::filesystem::path& folder);

} // namespace waggle::trigger

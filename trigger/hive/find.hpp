#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace waggle::trigger {

// The location of a hive: a file, or an output of a flake.
struct HivePlace {
    std::filesystem::path folder;      // for files kept with the hive; the current folder if a flake is elsewhere
    std::filesystem::path file;        // absolute; empty for a flake
    std::string flake;                 // as passed to Nix: an absolute folder, or a flake reference
    std::optional<std::string> output; // of the flake; nullopt: the first one that Waggle knows
    bool is_local = true;              // the folder belongs to the hive

    bool is_flake() const { return file.empty(); }
    // For messages.
    std::string to_string() const;
};

// Finds the hive to use: the named one, or the first one in `folder` and the folders above it. If a folder has both,
// its flake.nix is used and its hive.nix is not. A name is a file, a folder or a flake reference; a folder or a
// reference may be followed by an output, as in ".#colmena". Throws Error with the places that were searched.
HivePlace find_hive(const std::optional<std::filesystem::path>& named, const std::filesystem::path& folder);

} // namespace waggle::trigger

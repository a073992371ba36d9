#pragma once

#include "shared/nix/store_path.hpp"

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace waggle::agent {

// A list of paths whose files may not be on the disk. Nix reports a path as valid as soon as its database on the disk
// has it; the path's files may still be in memory only, and be empty after a power cut. So the list has each path from
// before it is fetched until the store's file system is synced. A path that another boot left in it must be verified
// before it is relied upon. The list is a file in the state directory: lines of "boot ID", each followed by the paths
// of that boot.
class UnsyncedPaths {
public:
    // Throws Error if the file exists and is unreadable.
    UnsyncedPaths(std::filesystem::path file, std::string boot_id);

    // Whether a power cut, now or earlier, could have emptied a path.
    bool any() const { return !paths_.empty(); }
    // The paths of earlier boots.
    std::set<nix::StorePath> doubtful() const;

    // Persists that these paths may be valid without their content from now on.
    void expect(const std::vector<nix::StorePath>& paths);
    // Must be called after a sync of the store: the paths of this boot are on the disk, and `looked_at` of earlier
    // boots were verified.
    void settle(const std::vector<nix::StorePath>& looked_at);

private:
    void write() const;

    std::filesystem::path file_;
    std::string boot_id_;
    std::map<std::string, std::set<nix::StorePath>> paths_; // by boot id; no empty sets
};

} // namespace waggle::agent

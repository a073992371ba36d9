#pragma once

#include "shared/nix/store_path.hpp"

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace waggle::agent {

// Nix says that a path is there as soon as its database says so on the disk; the path's files may still be in memory
// only, and be empty after a power cut. So what is about to be fetched is written down until the store's file system
// was synced. What another boot left there has to be looked at before it is relied upon. A file in the state directory:
// lines of "boot ID" and under each the paths of that boot.
class UnsyncedPaths {
public:
    // Throws Error when the file is there and cannot be read.
    UnsyncedPaths(std::filesystem::path file, std::string boot_id);

    // Whether a power cut now, or one before, could cost a path.
    bool any() const { return !paths_.empty(); }
    // Of earlier boots.
    std::set<nix::StorePath> doubtful() const;

    // Persists that these may be there without their content from now on.
    void expect(const std::vector<nix::StorePath>& paths);
    // After a sync of the store: what was expected in this boot is on the disk, and these of earlier boots were looked
    // at.
    void settle(const std::vector<nix::StorePath>& looked_at);

private:
    void write() const;

    std::filesystem::path file_;
    std::string boot_id_;
    std::map<std::string, std::set<nix::StorePath>> paths_; // by boot id; no empty sets
};

} // namespace waggle::agent

#pragma once

#include "shared/base/hash.hpp"

#include <cstdint>
#include <filesystem>

namespace waggle::nix {

struct NarSum {
    Sha256Digest hash;
    std::uint64_t size = 0; // bytes
};

// Hash and size of the NAR of what is on this disk (Nix manual, "Nix Archive (NAR) format"); the daemon is not asked,
// which sends fewer bytes than it said for a file that a power cut has emptied. Throws Error when it cannot be read.
NarSum nar_sum(const std::filesystem::path& path);

} // namespace waggle::nix

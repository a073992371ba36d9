#pragma once

#include "shared/base/hash.hpp"

#include <cstdint>
#include <filesystem>

namespace waggle::nix {

struct NarSum {
    Sha256Digest hash;
    std::uint64_t size = 0; // bytes
};

// Computes hash and size of the NAR of a path on this disk (Nix manual, "Nix Archive (NAR) format"). It does not ask
// the daemon, which sends fewer bytes than it announced for a file that a power cut has emptied. Throws Error if the
// path cannot be read.
NarSum nar_sum(const std::filesystem::path& path);

} // namespace waggle::nix

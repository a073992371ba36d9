#pragma once

#include "shared/base/hash.hpp"
#include "shared/nix/store_path.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace waggle::nix {

// The information about a path in a store's database.
struct PathInfo {
    StorePath path;
    Sha256Digest nar_hash;
    std::uint64_t nar_size = 0;        // bytes
    std::vector<StorePath> references; // sorted; may include the path itself
    std::optional<StorePath> deriver;
};

} // namespace waggle::nix

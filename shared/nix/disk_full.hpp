#pragma once

#include <string_view>

namespace waggle::nix {

// Whether an error of Nix reports a full disk, as an error of a file or of Nix's database.
inline bool says_disk_is_full(std::string_view error) {
    return error.find("No space left on device") != error.npos || error.find("disk is full") != error.npos;
}

} // namespace waggle::nix

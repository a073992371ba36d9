#pragma once

#include "shared/base/zstd.hpp"
#include "trigger/build/store.hpp"

#include <cstdint>

namespace waggle::trigger {

// Reads the path's NAR and passes it to the sink as one zstd frame. Calls with the same path and level produce the same
// bytes. Throws what `read_nar` throws, and as require_nar_size does.
void pack_nar(const ReadNar& read_nar, const nix::StorePath& path, std::uint64_t nar_size, int level,
              const ZstdCompressor::Sink& sink);

// Throws Error if the path has another number of NAR bytes than the store's database says.
void require_nar_size(const nix::StorePath& path, std::uint64_t bytes, std::uint64_t nar_size);

} // namespace waggle::trigger

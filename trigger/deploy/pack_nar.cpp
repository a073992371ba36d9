#include "trigger/deploy/pack_nar.hpp"

#include "shared/base/error.hpp"

#include <fmt/format.h>

namespace waggle::trigger {

void pack_nar(const ReadNar& read_nar, const nix::StorePath& path, std::uint64_t nar_size, int level,
              const ZstdCompressor::Sink& sink) {
    ZstdCompressor compressor(level, nar_size);
    std::uint64_t bytes_read = 0;
    read_nar(path, nar_size, [&](std::span<const std::byte> bytes) {
        bytes_read += bytes.size();
        if (bytes_read <= nar_size) // if there are more, they are only counted
            compressor.update(bytes, sink);
    });
    require_nar_size(path, bytes_read, nar_size);
    compressor.finish(sink);
}

void require_nar_size(const nix::StorePath& path, std::uint64_t bytes, std::uint64_t nar_size) {
    if (bytes != nar_size)
        throw Error(fmt::format("{} has {} NAR bytes here, but the store's database says {}: repair it with `nix-store "
                                "--verify --check-contents --repair`",
                                path.absolute(), bytes, nar_size));
}

} // namespace waggle::trigger

#pragma once

#include "shared/base/bytes.hpp"
#include "shared/base/zstd.hpp"

#include <string>
#include <string_view>

namespace waggle {

// The content as one zstd frame.
inline std::string zstd_frame(std::string_view content, int level = 3) {
    std::string frame;
    const auto sink = [&](std::span<const std::byte> bytes) { frame += as_text(bytes); };
    ZstdCompressor compressor(level, content.size());
    compressor.update(as_bytes(content), sink);
    compressor.finish(sink);
    return frame;
}

} // namespace waggle

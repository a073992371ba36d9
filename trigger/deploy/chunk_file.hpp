#pragma once

#include "shared/base/fd.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace waggle::trigger {

// A temporary file without a name, of bounded size, divided into chunks that are taken and given back. Safe to use from
// several threads.
class ChunkFile {
public:
    static constexpr size_t chunk_bytes = 16 << 10;
    using Chunk = std::uint32_t;

    // Makes the file in the folder. Throws SystemError.
    ChunkFile(const std::filesystem::path& folder, std::uint64_t max_bytes);

    // Returns nullopt if all chunks are taken.
    std::optional<Chunk> take();
    void give_back(std::span<const Chunk> chunks);

    // Writes the beginning of a chunk. Throws SystemError, for example if the disk is full.
    void write(Chunk chunk, std::span<const std::byte> bytes);
    // Reads from the content that these chunks form, beginning at `offset` within it. Throws Error.
    void read(std::span<const Chunk> chunks, std::uint64_t offset, std::span<std::byte> buffer) const;

private:
    Fd file_;
    const std::uint64_t max_chunks_;
    std::mutex mutex_; // guards the following members
    std::vector<Chunk> free_;
    std::uint64_t used_ = 0; // chunks that were ever taken; the file is not longer
};

} // namespace waggle::trigger

#include "trigger/deploy/chunk_file.hpp"

#include "shared/base/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <string>

namespace waggle::trigger {

namespace {

Fd open_nameless(const std::filesystem::path& folder) {
    std::string name = folder / "waggle-nars-XXXXXX";
    Fd file(::mkostemp(name.data(), O_CLOEXEC));
    if (!file)
        throw SystemError(fmt::format("making a temporary file in {}", folder.string()));
    if (::unlink(name.c_str()) != 0)
        throw SystemError(fmt::format("removing the name of {}", name));
    return file;
}

off_t position(ChunkFile::Chunk chunk, std::uint64_t within = 0) {
    return static_cast<off_t>(std::uint64_t{chunk} * ChunkFile::chunk_bytes + within);
}

} // namespace

ChunkFile::ChunkFile(const std::filesystem::path& folder, std::uint64_t max_bytes)
    : file_(open_nameless(folder)),
      max_chunks_(std::min<std::uint64_t>(max_bytes / chunk_bytes, std::numeric_limits<Chunk>::max())) {}

std::optional<ChunkFile::Chunk> ChunkFile::take() {
    const std::scoped_lock lock(mutex_);
    if (free_.empty())
        return used_ < max_chunks_ ? std::optional(static_cast<Chunk>(used_++)) : std::nullopt;
    const Chunk chunk = free_.back();
    free_.pop_back();
    return chunk;
}

void ChunkFile::give_back(std::span<const Chunk> chunks) {
    const std::scoped_lock lock(mutex_);
    free_.insert(free_.end(), chunks.begin(), chunks.end());
}

void ChunkFile::write(Chunk chunk, std::span<const std::byte> bytes) {
    for (size_t done = 0; done < bytes.size();) {
        const ssize_t count = ::pwrite(file_.get(), bytes.data() + done, bytes.size() - done, position(chunk, done));
        if (count < 0 && errno != EINTR)
            throw SystemError("writing to a temporary file");
        done += static_cast<size_t>(std::max<ssize_t>(count, 0));
    }
}

void ChunkFile::read(std::span<const Chunk> chunks, std::uint64_t offset, std::span<std::byte> buffer) const {
    while (!buffer.empty()) {
        const std::uint64_t within = offset % chunk_bytes;
        const size_t wanted = std::min<size_t>(buffer.size(), chunk_bytes - static_cast<size_t>(within));
        const ssize_t count = ::pread(file_.get(), buffer.data(), wanted,
                                      position(chunks[static_cast<size_t>(offset / chunk_bytes)], within));
        if (count < 0 && errno != EINTR)
            throw SystemError("reading a temporary file");
        if (count == 0)
            throw Error("a temporary file is shorter than what was written to it");
        const auto read = static_cast<size_t>(std::max<ssize_t>(count, 0));
        offset += read;
        buffer = buffer.subspan(read);
    }
}

} // namespace waggle::trigger

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

using ZSTD_CCtx = struct ZSTD_CCtx_s;
using ZSTD_DCtx = struct ZSTD_DCtx_s;

namespace waggle {

// 2 MiB: the memory that a receiver sets aside, whatever the sender's level.
inline constexpr int zstd_window_log = 21;

// Compresses a stream of known length to one zstd frame (RFC 8878). The frame has no checksum: its receiver knows the
// hash of the content.
class ZstdCompressor {
public:
    using Sink = std::function<void(std::span<const std::byte>)>;

    // `content_bytes` is the length of the stream; zstd adapts its memory to it.
    ZstdCompressor(int level, std::uint64_t content_bytes);

    // Passes the output that is ready to the sink, in pieces. Throws Error if the stream becomes longer than announced.
    void update(std::span<const std::byte> bytes, const Sink& sink);
    // Ends the frame. Throws Error if the stream is shorter than announced.
    void finish(const Sink& sink);

private:
    void compress(std::span<const std::byte> bytes, bool last, const Sink& sink);

    struct Free {
        void operator()(ZSTD_CCtx* context) const;
    };
    std::unique_ptr<ZSTD_CCtx, Free> context_;
    std::unique_ptr<std::byte[]> buffer_;
};

// Decompresses one zstd frame in bounded memory. Refuses a frame with a larger window, and the other formats that the
// library reads.
class ZstdDecompressor {
public:
    ZstdDecompressor();

    // Writes as much as `output` takes, removes from `input` what was read, and returns the number of bytes written. 0:
    // it needs more input, or the frame is complete. `input` keeps the bytes that follow the frame. Throws Error.
    size_t read(std::span<const std::byte>& input, std::span<std::byte> output);
    // Whether the frame has ended.
    bool complete() const { return complete_; }

private:
    struct Free {
        void operator()(ZSTD_DCtx* context) const;
    };
    std::unique_ptr<ZSTD_DCtx, Free> context_;
    size_t header_bytes_ = 0; // of the frame's magic number, read so far
    bool complete_ = false;
};

} // namespace waggle

#include "shared/base/zstd.hpp"

#include "shared/base/error.hpp"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <new>

namespace waggle {

namespace {

constexpr size_t output_bytes = 64 << 10;
constexpr std::array magic = {std::byte{0x28}, std::byte{0xb5}, std::byte{0x2f}, std::byte{0xfd}};

size_t checked(size_t result, const char* what) {
    if (ZSTD_isError(result) != 0)
        throw Error(fmt::format("zstd: {}: {}", what, ZSTD_getErrorName(result)));
    return result;
}

} // namespace

void ZstdCompressor::Free::operator()(ZSTD_CCtx* context) const {
    ZSTD_freeCCtx(context);
}

ZstdCompressor::ZstdCompressor(int level, std::uint64_t content_bytes)
    : context_(ZSTD_createCCtx()), buffer_(std::make_unique<std::byte[]>(output_bytes)) {
    if (!context_)
        throw std::bad_alloc();
    const auto set = [this](ZSTD_cParameter parameter, int value) {
        checked(ZSTD_CCtx_setParameter(context_.get(), parameter, value), "setting up the compression");
    };
    set(ZSTD_c_compressionLevel, level);
    set(ZSTD_c_windowLog, zstd_window_log);
    set(ZSTD_c_checksumFlag, 0);
    checked(ZSTD_CCtx_setPledgedSrcSize(context_.get(), content_bytes), "setting up the compression");
}

void ZstdCompressor::compress(std::span<const std::byte> bytes, bool last, const Sink& sink) {
    ZSTD_inBuffer input{.src = bytes.data(), .size = bytes.size(), .pos = 0};
    for (bool done = false; !done;) {
        ZSTD_outBuffer output{.dst = buffer_.get(), .size = output_bytes, .pos = 0};
        const size_t left = checked(
            ZSTD_compressStream2(context_.get(), &output, &input, last ? ZSTD_e_end : ZSTD_e_continue), "compressing");
        if (output.pos > 0)
            sink({buffer_.get(), output.pos});
        done = last ? left == 0 : input.pos == input.size;
    }
}

void ZstdCompressor::update(std::span<const std::byte> bytes, const Sink& sink) {
    compress(bytes, false, sink);
}

void ZstdCompressor::finish(const Sink& sink) {
    compress({}, true, sink);
}

void ZstdDecompressor::Free::operator()(ZSTD_DCtx* context) const {
    ZSTD_freeDCtx(context);
}

ZstdDecompressor::ZstdDecompressor() : context_(ZSTD_createDCtx()) {
    if (!context_)
        throw std::bad_alloc();
    checked(ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, zstd_window_log),
            "setting up the decompression");
}

size_t ZstdDecompressor::read(std::span<const std::byte>& input, std::span<std::byte> output) {
    if (complete_)
        return 0;
    // The library also reads formats of its early versions, and frames that only skip.
    for (size_t i = 0; header_bytes_ < magic.size() && i < input.size(); ++i)
        if (input[i] != magic[header_bytes_++])
            throw Error("zstd: this is not a zstd frame");
    ZSTD_inBuffer from{.src = input.data(), .size = input.size(), .pos = 0};
    ZSTD_outBuffer to{.dst = output.data(), .size = output.size(), .pos = 0};
    for (size_t before = SIZE_MAX; !complete_ && to.pos < to.size && from.pos + to.pos != before;) {
        before = from.pos + to.pos;
        complete_ = checked(ZSTD_decompressStream(context_.get(), &to, &from), "decompressing") == 0;
    }
    input = input.subspan(from.pos);
    return to.pos;
}

} // namespace waggle

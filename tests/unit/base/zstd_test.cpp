#include "shared/base/bytes.hpp"
#include "shared/base/error.hpp"
#include "shared/base/zstd.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include <array>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

namespace waggle {
namespace {

using testing::HasSubstr;

// Compresses pieces of this size.
std::string compressed(std::string_view content, size_t piece_bytes = 10'000, int level = 3) {
    std::string frame;
    const auto sink = [&](std::span<const std::byte> bytes) { frame += as_text(bytes); };
    ZstdCompressor compressor(level, content.size());
    for (size_t at = 0; at < content.size(); at += piece_bytes)
        compressor.update(as_bytes(content.substr(at, piece_bytes)), sink);
    compressor.finish(sink);
    return frame;
}

// Decompresses a frame that arrives in pieces, into a small buffer.
std::string decompressed(std::string_view frame, size_t piece_bytes = 1000) {
    ZstdDecompressor decompressor;
    std::string content;
    std::array<std::byte, 3000> buffer;
    for (size_t at = 0; at < frame.size(); at += piece_bytes) {
        auto input = as_bytes(frame.substr(at, piece_bytes));
        while (const size_t size = decompressor.read(input, buffer))
            content += as_text(std::span(buffer).first(size));
        EXPECT_TRUE(input.empty());
    }
    EXPECT_TRUE(decompressor.complete());
    return content;
}

std::string failure(std::string_view frame) {
    try {
        decompressed(frame);
        return "none";
    } catch (const Error& error) {
        return error.what();
    }
}

// Words in a random order, which compress by about a third.
std::string words(size_t bytes) {
    std::mt19937 random(1); // the same in every run
    std::string text;
    while (text.size() < bytes)
        text += std::to_string(random() % 100'000) + " ";
    text.resize(bytes);
    return text;
}

// A frame that the library makes with these parameters.
std::string frame_with(std::string_view content, ZSTD_cParameter parameter, int value) {
    ZSTD_CCtx* const context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, parameter, value);
    std::string frame(ZSTD_compressBound(content.size()), '\0');
    frame.resize(ZSTD_compress2(context, frame.data(), frame.size(), content.data(), content.size()));
    ZSTD_freeCCtx(context);
    return frame;
}

TEST(Zstd, RestoresWhatItHasCompressed) {
    for (const size_t size : std::initializer_list<size_t>{0, 1, 3000, 130'000, 5'000'000}) {
        const std::string content = words(size);
        const std::string frame = compressed(content);
        EXPECT_EQ(decompressed(frame), content) << size;
        EXPECT_EQ(decompressed(frame, 1), content) << size;
        EXPECT_LT(frame.size(), size * 2 / 3 + 20);
    }
}

// The trigger continues a frame that it can no longer read from its cache by compressing the path again.
TEST(Zstd, ProducesTheSameFrameHoweverItsInputIsCut) {
    const std::string content = words(3'000'000);
    for (const int level : {1, 3, 9}) {
        const std::string frame = compressed(content, 10'000, level);
        EXPECT_EQ(compressed(content, 77'777, level), frame) << level;
        EXPECT_EQ(compressed(content, content.size(), level), frame) << level;
    }
}

TEST(Zstd, RefusesAStreamThatIsNotAsLongAsAnnounced) {
    const auto ignore = [](std::span<const std::byte>) {};
    ZstdCompressor longer(3, 10);
    EXPECT_THROW(
        {
            longer.update(as_bytes("eleven byte"), ignore);
            longer.finish(ignore);
        },
        Error);
    ZstdCompressor shorter(3, 10);
    shorter.update(as_bytes("nine byte"), ignore);
    EXPECT_THROW(shorter.finish(ignore), Error);
}

TEST(Zstd, KeepsTheBytesThatFollowTheFrame) {
    const std::string both = compressed("content") + "more";
    ZstdDecompressor decompressor;
    std::array<std::byte, 100> buffer;
    auto input = as_bytes(both);
    EXPECT_EQ(decompressor.read(input, buffer), 7);
    EXPECT_TRUE(decompressor.complete());
    EXPECT_EQ(as_text(input), "more");
    EXPECT_EQ(decompressor.read(input, buffer), 0);
}

TEST(Zstd, ATruncatedFrameIsNotComplete) {
    const std::string frame = compressed(words(200'000));
    for (const size_t size : {size_t{0}, size_t{3}, frame.size() / 2, frame.size() - 1}) {
        ZstdDecompressor decompressor;
        std::vector<std::byte> buffer(300'000);
        auto input = as_bytes(std::string_view(frame).substr(0, size));
        while (decompressor.read(input, buffer) > 0)
            ;
        EXPECT_FALSE(decompressor.complete()) << size;
    }
}

TEST(Zstd, RefusesALargerWindow) {
    const std::string content = words((4 << 20) + 1);
    EXPECT_EQ(decompressed(frame_with(content, ZSTD_c_windowLog, 21)), content);
    EXPECT_THAT(failure(frame_with(content, ZSTD_c_windowLog, 22)), HasSubstr("too much memory"));
}

TEST(Zstd, RefusesOtherFormats) {
    const std::string frame = compressed("content");
    EXPECT_THAT(failure("this is text"), HasSubstr("not a zstd frame"));
    EXPECT_THAT(failure(std::string("\x50\x2a\x4d\x18\0\0\0\0", 8)), HasSubstr("not a zstd frame")) << "skippable";
    EXPECT_THAT(failure("\x27" + frame.substr(1)), HasSubstr("not a zstd frame")) << "version 0.7";
}

TEST(Zstd, RefusesCorruptBlocks) {
    std::string frame = compressed(words(200'000));
    std::mt19937 random(1);
    for (size_t i = 20; i < frame.size(); ++i)
        frame[i] = static_cast<char>(random());
    EXPECT_THAT(failure(frame), HasSubstr("decompressing"));
}

} // namespace
} // namespace waggle

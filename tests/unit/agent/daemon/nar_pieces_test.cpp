#include "agent/daemon/nar_pieces.hpp"
#include "shared/base/bytes.hpp"
#include "shared/protocol/json.hpp"
#include "tests/unit/base/zstd_frame.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace waggle::agent {
namespace {

using protocol::CompressedNarPiece;
using protocol::NarPiece;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class PiecesOfNars : public testing::Test {
protected:
    // Adds a message, and returns the plain pieces that are ready then.
    template <class Piece>
    std::vector<std::pair<std::uint32_t, std::string>> add(std::uint32_t index, std::string_view bytes) {
        pieces.add(Piece{index, bytes});
        std::vector<std::pair<std::uint32_t, std::string>> ready;
        while (const auto piece = pieces.next())
            ready.emplace_back(piece->index, piece->bytes);
        return ready;
    }
    auto plain(std::uint32_t index, std::string_view bytes) { return add<NarPiece>(index, bytes); }
    auto packed(std::uint32_t index, std::string_view bytes) { return add<CompressedNarPiece>(index, bytes); }

    template <class Call>
    static std::string failure(Call call) {
        try {
            call();
            return "none";
        } catch (const protocol::BadDocument& error) {
            return error.what();
        }
    }

    const std::string frame = zstd_frame("content");
    NarPieces pieces{2};
};

TEST_F(PiecesOfNars, PassesOnPlainPieces) {
    EXPECT_THAT(plain(3, "one"), ElementsAre(Pair(3, "one")));
    EXPECT_THAT(plain(4, "two"), ElementsAre(Pair(4, "two")));
}

TEST_F(PiecesOfNars, DecompressesEachPathOnItsOwn) {
    EXPECT_THAT(packed(3, frame), ElementsAre(Pair(3, "content")));
    EXPECT_THAT(plain(4, "two"), ElementsAre(Pair(4, "two")));
    EXPECT_THAT(packed(5, frame), ElementsAre(Pair(5, "content")));
    EXPECT_THAT(packed(6, frame), ElementsAre(Pair(6, "content")));
}

TEST_F(PiecesOfNars, AcceptsTheEndOfAFrameInAMessageOfItsOwn) {
    EXPECT_THAT(packed(3, frame.substr(0, 5)), ElementsAre());
    std::string content;
    for (const char byte : frame.substr(5))
        for (const auto& [index, bytes] : packed(3, std::string(1, byte)))
            content += bytes;
    EXPECT_EQ(content, "content");
    EXPECT_THAT(packed(4, frame), ElementsAre(Pair(4, "content")));
}

TEST_F(PiecesOfNars, PiecesAreBoundedWhateverTheRatio) {
    const std::string zeros(16 << 20, '\0');
    const std::string bomb = zstd_frame(zeros);
    ASSERT_LT(bomb.size(), 16u << 10);
    pieces.add(CompressedNarPiece{0, bomb});
    size_t total = 0;
    while (const auto piece = pieces.next()) {
        ASSERT_LE(piece->bytes.size(), protocol::data_piece_bytes);
        total += piece->bytes.size();
    }
    EXPECT_EQ(total, zeros.size());
}

TEST_F(PiecesOfNars, RefusesATruncatedFrame) {
    packed(3, frame.substr(0, frame.size() - 1));
    EXPECT_THAT(failure([&] { packed(4, frame); }), HasSubstr("path 3 of the list is not complete"));
    EXPECT_THAT(failure([&] { plain(4, "two"); }), HasSubstr("path 3 of the list is not complete"));
}

TEST_F(PiecesOfNars, RefusesBytesAfterTheFrame) {
    EXPECT_THAT(failure([&] { packed(3, frame + "x"); }), HasSubstr("bytes follow the end"));
    EXPECT_THAT(failure([&] { packed(4, frame + frame); }), HasSubstr("bytes follow the end"));
    packed(5, frame);
    EXPECT_THAT(failure([&] { packed(5, "x"); }), HasSubstr("bytes follow the end"));
}

TEST_F(PiecesOfNars, RefusesAPathThatIsCompressedInPart) {
    packed(3, frame);
    EXPECT_THAT(failure([&] { plain(3, "more"); }), HasSubstr("compressed only in part"));
    plain(4, "begin");
    EXPECT_THAT(failure([&] { packed(4, frame); }), HasSubstr("compressed only in part"));
}

TEST_F(PiecesOfNars, RefusesWhatIsNoFrame) {
    EXPECT_THAT(failure([&] { packed(3, "a plain NAR"); }), HasSubstr("path 3 of the list cannot be decompressed"));
}

TEST(PiecesOfNarsInVersion1, AreNotCompressed) {
    NarPieces pieces(1);
    const std::string frame = zstd_frame("content");
    EXPECT_THROW(pieces.add(CompressedNarPiece{0, frame}), protocol::BadDocument);
    pieces.add(NarPiece{0, "content"});
    EXPECT_EQ(pieces.next().value().bytes, "content");
}

} // namespace
} // namespace waggle::agent

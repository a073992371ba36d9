#include "agent/daemon/nar_pieces.hpp"

#include "shared/base/bytes.hpp"
#include "shared/protocol/hello.hpp"
#include "shared/protocol/json.hpp"
#include "shared/protocol/message_limits.hpp"

#include <fmt/format.h>

#include <utility>

namespace waggle::agent {

using protocol::BadDocument;

void NarPieces::check_frame_ended() const {
    if (frame_ && !frame_->complete())
        throw BadDocument(fmt::format("the compressed path {} of the list is not complete, but another path follows",
                                      packed_index_.value()));
}

void NarPieces::add(const protocol::NarPiece& piece) {
    check_frame_ended();
    if (packed_index_ == piece.index)
        throw BadDocument(fmt::format("path {} of the list is compressed only in part", piece.index));
    plain_ = piece;
    plain_index_ = piece.index;
}

void NarPieces::add(const protocol::CompressedNarPiece& piece) {
    if (version_ < protocol::first_version_with_compression)
        throw BadDocument(fmt::format(
            "the trigger sent a compressed path, which version {} of the protocol does not have", version_));
    if (plain_index_ == piece.index)
        throw BadDocument(fmt::format("path {} of the list is compressed only in part", piece.index));
    if (packed_index_ != piece.index) {
        check_frame_ended();
        frame_.emplace();
        packed_index_ = piece.index;
    }
    input_ = as_bytes(piece.bytes);
}

std::optional<protocol::NarPiece> NarPieces::next() {
    if (plain_)
        return std::exchange(plain_, std::nullopt);
    if (!frame_)
        return std::nullopt;
    const auto index = packed_index_.value();
    if (!output_)
        output_ = std::make_unique<std::byte[]>(protocol::data_piece_bytes);
    const std::span output(output_.get(), protocol::data_piece_bytes);
    size_t size = 0;
    try {
        size = frame_->read(input_, output);
    } catch (const Error& error) {
        throw BadDocument(fmt::format("path {} of the list cannot be decompressed: {}", index, error.what()));
    }
    if (frame_->complete() && !input_.empty())
        throw BadDocument(fmt::format("bytes follow the end of the compressed path {} of the list", index));
    if (size == 0)
        return std::nullopt;
    return protocol::NarPiece{index, as_text(output.first(size))};
}

} // namespace waggle::agent

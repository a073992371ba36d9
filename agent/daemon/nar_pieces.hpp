#pragma once

#include "shared/base/zstd.hpp"
#include "shared/protocol/messages.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace waggle::agent {

// Turns the NAR messages of one session, compressed or not, into plain pieces. Holds one message and one piece at a
// time, however large the path is.
class NarPieces {
public:
    // `version` is that of the session's protocol.
    explicit NarPieces(int version) : version_(version) {}

    // Takes the next message. Its bytes must stay valid until next() has returned nullopt. Both throw
    // protocol::BadDocument if the message cannot follow the previous ones.
    void add(const protocol::NarPiece& piece);
    void add(const protocol::CompressedNarPiece& piece);
    // Returns the next plain piece, valid until the next call, or nullopt if it needs another message. Throws
    // protocol::BadDocument.
    std::optional<protocol::NarPiece> next();

private:
    void check_frame_ended() const;

    const int version_;
    std::optional<protocol::NarPiece> plain_;   // the last message, until next() returns it
    std::optional<std::uint32_t> plain_index_;  // the last path that was not compressed
    std::optional<std::uint32_t> packed_index_; // the last path that was
    std::optional<ZstdDecompressor> frame_;     // of packed_index_
    std::span<const std::byte> input_;          // the unread part of the last message
    std::unique_ptr<std::byte[]> output_;       // allocated for the first compressed path
};

} // namespace waggle::agent

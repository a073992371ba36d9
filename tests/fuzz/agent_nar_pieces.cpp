// The messages of a compressed path: its frame in two pieces. What comes out is limited as by the signed size.

#include "agent/daemon/nar_pieces.hpp"
#include "shared/protocol/hello.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace fuzz = waggle::fuzz;
namespace protocol = waggle::protocol;
using waggle::agent::NarPieces;

namespace {

constexpr size_t signed_size = 4 << 20;

// Returns false when more has come out than was signed.
bool add(NarPieces& pieces, std::string_view bytes, size_t& size) {
    if (bytes.empty()) // a message holds something
        return true;
    pieces.add(protocol::CompressedNarPiece{0, bytes});
    while (const auto piece = pieces.next()) {
        fuzz::require(piece->index == 0 && !piece->bytes.empty() && piece->bytes.size() <= protocol::data_piece_bytes);
        size += piece->bytes.size();
        if (size > signed_size)
            return false;
    }
    return true;
}

} // namespace

FUZZ_TARGET(agent_nar_pieces) {
    fuzz::accepted([&] {
        NarPieces pieces(protocol::first_version_with_compression);
        size_t size = 0;
        const size_t half = input.size() / 2;
        if (add(pieces, input.substr(0, half), size))
            add(pieces, input.substr(half), size);
    });
}

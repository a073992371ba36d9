#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

using EVP_MD_CTX = struct evp_md_ctx_st;

namespace waggle {

using Sha256Digest = std::array<std::uint8_t, 32>;
using Sha512Digest = std::array<std::uint8_t, 64>;

// SHA-256 of a stream that is fed piece by piece.
class Sha256 {
public:
    Sha256();
    void update(std::span<const std::byte> bytes);
    void update(std::string_view text);
    // Ends the stream. The object cannot be used afterwards.
    Sha256Digest finish();

private:
    struct Free {
        void operator()(EVP_MD_CTX* context) const;
    };
    std::unique_ptr<EVP_MD_CTX, Free> context_;
};

Sha256Digest sha256(std::string_view bytes);
Sha512Digest sha512(std::string_view bytes);

} // namespace waggle

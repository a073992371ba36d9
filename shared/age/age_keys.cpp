#include "shared/age/age.hpp"
#include "shared/age/crypto.hpp"
#include "shared/age/text_codes.hpp"
#include "shared/ssh/wipe.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>

namespace waggle::age {

namespace {

constexpr std::string_view recipient_prefix = "age";
constexpr std::string_view identity_prefix = "age-secret-key-";
constexpr size_t shown_bytes = 80;

Array32 x25519_point(const ssh::PublicKey& key) {
    const auto point = ed25519_to_x25519(key.raw());
    if (!point)
        throw BadAgeKey(fmt::format("{} cannot be sealed to: it is no ordinary Ed25519 key", key.to_string()));
    return *point;
}

// RFC 8032, section 5.1.5: the scalar is made from the first half of the seed's SHA-512.
SecretBytes x25519_scalar(const ssh::PrivateKey& key) {
    std::array<std::uint8_t, x25519_key_bytes> seed;
    const ssh::Wipe wipe_seed(seed);
    size_t size = seed.size();
    if (EVP_PKEY_get_raw_private_key(key.get(), seed.data(), &size) != 1 || size != seed.size())
        throw Error("OpenSSL cannot give the private part of an Ed25519 key");
    std::array<std::uint8_t, SHA512_DIGEST_LENGTH> hash;
    const ssh::Wipe wipe_hash(hash);
    SHA512(seed.data(), seed.size(), hash.data());
    return {hash.begin(), hash.begin() + x25519_key_bytes};
}

} // namespace

Recipient::Recipient(const ssh::PublicKey& key) : is_ssh_(true), raw_(key.raw()), point_(x25519_point(key)) {}

Recipient Recipient::parse(std::string_view text) {
    if (text.starts_with("ssh-")) {
        try {
            return Recipient(ssh::PublicKey::parse(text));
        } catch (const ssh::BadKey& error) {
            throw BadAgeKey(error.what());
        }
    }
    const auto decoded = from_bech32(text);
    if (!decoded || decoded->upper_case || decoded->prefix != recipient_prefix ||
        decoded->bytes.size() != x25519_key_bytes) {
        if (decoded && decoded->prefix == identity_prefix)
            throw BadAgeKey("this is a private age key, where a public one (age1…) is expected");
        throw BadAgeKey(fmt::format("{} is neither an age public key (age1…, X25519) nor an ssh-ed25519 one",
                                    text.substr(0, shown_bytes)));
    }
    Array32 raw;
    std::ranges::copy(decoded->bytes, raw.begin());
    return {false, raw, raw};
}

std::string Recipient::to_string() const {
    return is_ssh_ ? ssh::PublicKey(raw_).to_string() : to_bech32(recipient_prefix, raw_);
}

Identity::Identity(const Recipient& recipient, SecretBytes scalar)
    : recipient_(recipient), scalar_(std::move(scalar)) {}

Identity::Identity(const ssh::PrivateKey& key) : recipient_(key.public_key()), scalar_(x25519_scalar(key)) {}

Identity Identity::parse(std::string_view text) {
    auto decoded = from_bech32(text);
    if (!decoded || !decoded->upper_case || decoded->prefix != identity_prefix ||
        decoded->bytes.size() != x25519_key_bytes)
        throw BadAgeKey("this is not an age private key (AGE-SECRET-KEY-1…, X25519)");
    const auto raw = x25519_public(decoded->bytes);
    return {Recipient(false, raw, raw), std::move(decoded->bytes)};
}

Identity Identity::generate() {
    SecretBytes scalar(x25519_key_bytes);
    fill_random(scalar);
    const auto raw = x25519_public(scalar);
    return {Recipient(false, raw, raw), std::move(scalar)};
}

} // namespace waggle::age

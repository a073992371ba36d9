#include "shared/age/crypto.hpp"

#include "shared/base/error.hpp"

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <memory>

namespace waggle::age {

namespace {

template <auto free>
struct Free {
    template <class T>
    void operator()(T* object) const {
        free(object);
    }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using AeadContext = std::unique_ptr<EVP_CIPHER_CTX, Free<EVP_CIPHER_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Free<BN_free>>;

void require(bool success, std::string_view what) {
    if (!success)
        throw Error(fmt::format("OpenSSL failed at {}", what));
}

OSSL_PARAM octets(const char* name, const void* data, size_t size) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<void*>(data), size); // OpenSSL only reads it
}

Key private_key(View scalar) {
    Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, scalar.data(), scalar.size()));
    require(key != nullptr, "an X25519 private key");
    return key;
}

AeadContext make_context() {
    AeadContext context(EVP_CIPHER_CTX_new());
    require(context != nullptr, "ChaCha20-Poly1305");
    return context;
}

} // namespace

View as_view(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

SecretBytes hkdf_sha256(View key, View salt, std::string_view info) {
    const std::unique_ptr<EVP_KDF, Free<EVP_KDF_free>> kdf(EVP_KDF_fetch(nullptr, OSSL_KDF_NAME_HKDF, nullptr));
    const std::unique_ptr<EVP_KDF_CTX, Free<EVP_KDF_CTX_free>> context(EVP_KDF_CTX_new(kdf.get()));
    require(context != nullptr, "HKDF");
    // OpenSSL accepts no null pointer, not even for an empty input.
    constexpr char nothing = 0;
    const auto pointer = [&](View view) { return view.empty() ? static_cast<const void*>(&nothing) : view.data(); };
    char digest[] = "SHA256";
    const std::array parameters = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        octets(OSSL_KDF_PARAM_KEY, pointer(key), key.size()),
        octets(OSSL_KDF_PARAM_SALT, pointer(salt), salt.size()),
        octets(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
        OSSL_PARAM_construct_end(),
    };
    SecretBytes out(x25519_key_bytes);
    require(EVP_KDF_derive(context.get(), out.data(), out.size(), parameters.data()) == 1, "HKDF");
    return out;
}

Array32 hmac_sha256(View key, std::string_view message) {
    Array32 mac;
    unsigned size = mac.size();
    require(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), as_view(message).data(), message.size(),
                 mac.data(), &size) != nullptr &&
                size == mac.size(),
            "HMAC");
    return mac;
}

std::optional<SecretBytes> x25519(View scalar, View point) {
    const Key ours = private_key(scalar);
    const Key theirs(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, point.data(), point.size()));
    require(theirs != nullptr, "an X25519 public key");
    const std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>> context(EVP_PKEY_CTX_new(ours.get(), nullptr));
    require(context != nullptr && EVP_PKEY_derive_init(context.get()) == 1 &&
                EVP_PKEY_derive_set_peer(context.get(), theirs.get()) == 1,
            "X25519");
    SecretBytes shared(x25519_key_bytes);
    size_t size = shared.size();
    if (EVP_PKEY_derive(context.get(), shared.data(), &size) != 1) // it rejects an all-zero result itself
        return std::nullopt;
    require(size == shared.size(), "X25519");
    return shared;
}

Array32 x25519_public(View scalar) {
    Array32 raw;
    size_t size = raw.size();
    require(EVP_PKEY_get_raw_public_key(private_key(scalar).get(), raw.data(), &size) == 1 && size == raw.size(),
            "an X25519 public key");
    return raw;
}

void aead_seal(View key, const AeadNonce& nonce, View plaintext, std::span<std::uint8_t> out) {
    const AeadContext context = make_context();
    int size = 0;
    require(out.size() == plaintext.size() + aead_tag_bytes, "ChaCha20-Poly1305");
    require(EVP_EncryptInit_ex(context.get(), EVP_chacha20_poly1305(), nullptr, key.data(), nonce.data()) == 1 &&
                EVP_EncryptUpdate(context.get(), out.data(), &size, plaintext.data(),
                                  static_cast<int>(plaintext.size())) == 1 &&
                EVP_EncryptFinal_ex(context.get(), out.data() + size, &size) == 1 &&
                EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, aead_tag_bytes,
                                    out.data() + plaintext.size()) == 1,
            "ChaCha20-Poly1305");
}

bool aead_open(View key, const AeadNonce& nonce, View sealed, std::span<std::uint8_t> out) {
    if (sealed.size() < aead_tag_bytes)
        return false;
    const View ciphertext = sealed.first(sealed.size() - aead_tag_bytes);
    require(out.size() == ciphertext.size(), "ChaCha20-Poly1305");
    std::array<std::uint8_t, aead_tag_bytes> tag;
    std::ranges::copy(sealed.last(aead_tag_bytes), tag.begin());
    const AeadContext context = make_context();
    int size = 0;
    require(EVP_DecryptInit_ex(context.get(), EVP_chacha20_poly1305(), nullptr, key.data(), nonce.data()) == 1 &&
                EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, aead_tag_bytes, tag.data()) == 1 &&
                EVP_DecryptUpdate(context.get(), out.data(), &size, ciphertext.data(),
                                  static_cast<int>(ciphertext.size())) == 1,
            "ChaCha20-Poly1305");
    std::array<std::uint8_t, 1> nothing; // a stream cipher holds nothing back
    if (EVP_DecryptFinal_ex(context.get(), nothing.data(), &size) == 1)
        return true;
    OPENSSL_cleanse(out.data(), out.size());
    return false;
}

// u = (1 + y) / (1 - y) mod 2^255 - 19 (RFC 7748, section 4.1). All of it is public, so the time may depend on it.
std::optional<Array32> ed25519_to_x25519(const Array32& key) {
    Array32 little_endian = key;
    little_endian.back() &= 0x7f; // the sign of x
    const std::unique_ptr<BN_CTX, Free<BN_CTX_free>> context(BN_CTX_new());
    const Number p(BN_new());
    const Number y(BN_lebin2bn(little_endian.data(), little_endian.size(), nullptr));
    const Number above(BN_new());
    const Number below(BN_new());
    require(context && p && y && above && below, "big numbers");
    require(BN_set_bit(p.get(), 255) == 1 && BN_sub_word(p.get(), 19) == 1, "big numbers");
    if (BN_cmp(y.get(), p.get()) >= 0)
        return std::nullopt;
    require(BN_mod_add(above.get(), BN_value_one(), y.get(), p.get(), context.get()) == 1 &&
                BN_mod_sub(below.get(), BN_value_one(), y.get(), p.get(), context.get()) == 1,
            "big numbers");
    if (BN_is_zero(above.get()) || BN_is_zero(below.get()))
        return std::nullopt;
    require(BN_mod_inverse(below.get(), below.get(), p.get(), context.get()) != nullptr &&
                BN_mod_mul(above.get(), above.get(), below.get(), p.get(), context.get()) == 1,
            "big numbers");
    Array32 point;
    require(BN_bn2lebinpad(above.get(), point.data(), point.size()) == static_cast<int>(point.size()), "big numbers");
    return point;
}

} // namespace waggle::age

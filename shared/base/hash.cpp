#include "shared/base/hash.hpp"

#include "shared/base/error.hpp"

#include <openssl/evp.h>

namespace waggle {

namespace {

void check(int result) {
    if (result != 1)
        throw Error("OpenSSL could not compute a digest");
}

} // namespace

void Sha256::Free::operator()(EVP_MD_CTX* context) const {
    EVP_MD_CTX_free(context);
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
    check(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr));
}

void Sha256::update(std::span<const std::byte> bytes) {
    check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
}

void Sha256::update(std::string_view text) {
    update(std::as_bytes(std::span(text)));
}

Sha256Digest Sha256::finish() {
    Sha256Digest digest;
    check(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr));
    return digest;
}

Sha256Digest sha256(std::string_view bytes) {
    Sha256Digest digest;
    check(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr));
    return digest;
}

Sha512Digest sha512(std::string_view bytes) {
    Sha512Digest digest;
    check(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha512(), nullptr));
    return digest;
}

} // namespace waggle

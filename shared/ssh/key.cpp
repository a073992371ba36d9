#include "shared/ssh/key.hpp"

#include "shared/base/hash.hpp"
#include "shared/ssh/take_word.hpp"
#include "shared/ssh/wipe.hpp"
#include "shared/ssh/wire.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>

namespace waggle::ssh {

namespace {

constexpr std::string_view key_type = "ssh-ed25519";
constexpr size_t signature_bytes = 64; // RFC 8032

const unsigned char* to_unsigned(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

// OpenSSL's error queue belongs to the thread. An error that stays in it would be taken for a failure of the next TLS
// call.
[[noreturn]] void throw_openssl(const char* what) {
    ERR_clear_error();
    throw Error(fmt::format("OpenSSL cannot {}", what));
}

struct FreeContext {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

std::array<std::uint8_t, 32> raw_public_key(const EVP_PKEY* key) {
    std::array<std::uint8_t, 32> raw;
    size_t size = raw.size();
    if (EVP_PKEY_get_raw_public_key(key, raw.data(), &size) != 1 || size != raw.size())
        throw_openssl("give the public part of an Ed25519 key");
    return raw;
}

} // namespace

std::string describe_other_type(std::string_view type) {
    if (type.find("-cert-v01@") != type.npos)
        return fmt::format("an SSH certificate ({})", type);
    if (type.starts_with("sk-"))
        return fmt::format("a hardware key ({})", type);
    if (type == "ssh-rsa" || type == "rsa-sha2-256" || type == "rsa-sha2-512")
        return fmt::format("an RSA key ({})", type);
    if (type.starts_with("ecdsa-sha2-nistp"))
        return fmt::format("an ECDSA key ({})", type);
    if (type == "ssh-dss")
        return fmt::format("a DSA key ({})", type);
    return {};
}

PublicKey::PublicKey(std::span<const std::uint8_t, 32> raw) {
    std::ranges::copy(raw, raw_.begin());
}

PublicKey PublicKey::parse(std::string_view line) {
    line = line.substr(0, line.find_last_not_of(" \t\r\n") + 1);
    if (line.find_first_of("\r\n") != line.npos)
        throw BadKey("there is more than one line where one public key is expected");
    auto rest = line;
    auto type = take_word(rest);
    if (type.empty())
        throw BadKey("an empty line is not a public key");
    if (auto other = describe_other_type(type); !other.empty())
        throw BadKey(fmt::format("this is {}; Waggle takes Ed25519 keys only (ssh-keygen -t ed25519)", other));
    if (type != key_type) {
        if (line.find("ssh-") != line.npos || line.find("ecdsa-") != line.npos)
            throw BadKey("the key has options before its type, which Waggle would have to ignore: "
                         "give only \"ssh-ed25519 AAAA… comment\"");
        throw BadKey("this is not a public key in the form \"ssh-ed25519 AAAA… comment\"");
    }
    auto blob = from_base64(take_word(rest));
    if (!blob)
        throw BadKey("the ssh-ed25519 key is not valid base64");
    return from_wire(as_text(*blob));
}

PublicKey PublicKey::from_wire(std::string_view blob) {
    try {
        WireReader reader(blob);
        auto type = reader.string();
        if (auto other = describe_other_type(type); !other.empty())
            throw BadKey(fmt::format("this is {}; Waggle takes Ed25519 keys only", other));
        if (type != key_type)
            throw BadKey("this is not an ssh-ed25519 key");
        auto raw = reader.string();
        reader.end();
        if (raw.size() != 32)
            throw BadKey(fmt::format("an Ed25519 key has 32 bytes, this one {}", raw.size()));
        return PublicKey(std::span<const std::uint8_t, 32>(to_unsigned(raw), 32));
    } catch (const BadWire& error) {
        throw BadKey(fmt::format("the ssh-ed25519 key is malformed: {}", error.what()));
    }
}

std::string PublicKey::wire() const {
    std::string out;
    put_string(out, key_type);
    put_string(out, as_text(raw_));
    return out;
}

std::string PublicKey::to_string() const {
    return fmt::format("{} {}", key_type, to_base64(wire()));
}

std::string PublicKey::fingerprint() const {
    auto text = to_base64(sha256(wire()));
    text.erase(text.find_last_not_of('=') + 1);
    return "SHA256:" + text;
}

bool PublicKey::verify(std::string_view message, std::span<const std::uint8_t> signature) const {
    if (signature.size() != signature_bytes)
        return false;
    std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw_.data(), raw_.size()), EVP_PKEY_free);
    Context context(EVP_MD_CTX_new());
    bool good =
        key && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
        EVP_DigestVerify(context.get(), signature.data(), signature.size(), to_unsigned(message), message.size()) == 1;
    if (!good)
        ERR_clear_error();
    return good;
}

void PrivateKey::Free::operator()(EVP_PKEY* key) const {
    EVP_PKEY_free(key); // wipes the private bytes
}

PrivateKey::PrivateKey(std::unique_ptr<EVP_PKEY, Free> key, PublicKey public_key)
    : key_(std::move(key)), public_key_(public_key) {}

PrivateKey PrivateKey::from_seed(std::span<const std::uint8_t, 32> seed) {
    std::unique_ptr<EVP_PKEY, Free> key(
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
    if (!key)
        throw_openssl("make an Ed25519 key");
    PublicKey public_key(raw_public_key(key.get()));
    return PrivateKey(std::move(key), public_key);
}

PrivateKey PrivateKey::generate() {
    std::array<std::uint8_t, 32> seed;
    Wipe wipe(seed);
    fill_random(seed);
    return from_seed(seed);
}

std::array<std::uint8_t, 64> PrivateKey::sign(std::string_view message) const {
    std::array<std::uint8_t, signature_bytes> signature;
    size_t size = signature.size();
    Context context(EVP_MD_CTX_new());
    if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1 ||
        EVP_DigestSign(context.get(), signature.data(), &size, to_unsigned(message), message.size()) != 1 ||
        size != signature.size())
        throw_openssl("sign with an Ed25519 key");
    return signature;
}

} // namespace waggle::ssh

#pragma once

#include "shared/base/bytes.hpp"
#include "shared/base/error.hpp"

#include <array>
#include <compare>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

using EVP_PKEY = struct evp_pkey_st;

namespace waggle::ssh {

// A key, key file or key line that cannot be used. The message gives the reason in one sentence.
class BadKey : public Error {
public:
    using Error::Error;
};

// Returns "an RSA key (ssh-rsa)" or the like for a key type of OpenSSH that Waggle does not support, otherwise "".
std::string describe_other_type(std::string_view type);

// An Ed25519 public key in OpenSSH's forms.
class PublicKey {
public:
    explicit PublicKey(std::span<const std::uint8_t, 32> raw);

    // "ssh-ed25519 AAAA… [comment]". Throws BadKey, which names the type if it is another one (RSA, ECDSA, sk-,
    // certificates, lines with options).
    static PublicKey parse(std::string_view line);
    // The wire form: string "ssh-ed25519", string key (RFC 8709).
    static PublicKey from_wire(std::string_view blob);

    const std::array<std::uint8_t, 32>& raw() const { return raw_; }
    std::string wire() const;
    std::string to_string() const;   // "ssh-ed25519 AAAA…"
    std::string fingerprint() const; // "SHA256:…", as ssh-keygen -l prints it

    bool verify(std::string_view message, std::span<const std::uint8_t> signature) const;

    auto operator<=>(const PublicKey&) const = default;

private:
    std::array<std::uint8_t, 32> raw_;
};

// Signs with one Ed25519 key, wherever its private part is. Safe to use from any thread.
class Signer {
public:
    virtual ~Signer() = default;
    virtual PublicKey public_key() const = 0;
    virtual std::array<std::uint8_t, 64> sign(std::string_view message) const = 0;

protected:
    Signer() = default;
    Signer(const Signer&) = default;
    Signer(Signer&&) = default;
    Signer& operator=(const Signer&) = default;
    Signer& operator=(Signer&&) = default;
};

// A private key file that a passphrase protects. Its public key is readable nevertheless.
class PassphraseNeeded : public BadKey {
public:
    PassphraseNeeded(const std::string& message, const PublicKey& key) : BadKey(message), key_(key) {}
    const PublicKey& public_key() const { return key_; }

private:
    PublicKey key_;
};

// An Ed25519 private key. Its bytes are wiped on destruction.
class PrivateKey : public Signer {
public:
    // Reads an unencrypted "openssh-key-v1" file. Throws BadKey, naming the file: it does not exist, has another type,
    // a passphrase (PassphraseNeeded), parts that contradict each other, or bytes after the end.
    static PrivateKey load(const std::filesystem::path& path);
    static PrivateKey parse(std::string_view text, std::string_view name_for_errors);
    static PrivateKey generate();

    // Returns what `load` reads, for the one case in which an agent makes a key.
    std::string to_openssh(std::string_view comment) const;

    PublicKey public_key() const override { return public_key_; }
    std::array<std::uint8_t, 64> sign(std::string_view message) const override;
    EVP_PKEY* get() const { return key_.get(); }

private:
    struct Free {
        void operator()(EVP_PKEY* key) const;
    };
    PrivateKey(std::unique_ptr<EVP_PKEY, Free> key, PublicKey public_key);
    static PrivateKey from_seed(std::span<const std::uint8_t, 32> seed); // RFC 8032

    std::unique_ptr<EVP_PKEY, Free> key_;
    PublicKey public_key_;
};

} // namespace waggle::ssh

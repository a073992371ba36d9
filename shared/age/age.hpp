#pragma once

#include "shared/age/secret_bytes.hpp"
#include "shared/base/bytes.hpp"
#include "shared/base/error.hpp"
#include "shared/ssh/key.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace waggle::age {

// age v1 files (C2SP age.md) for X25519 keys, and for OpenSSH Ed25519 keys in the format of `age` itself (agessh). They
// are binary, not armored. `age -d -i /etc/ssh/ssh_host_ed25519_key` opens what `seal` makes.

// Text that is not a recipient or identity. The message gives the reason.
class BadAgeKey : public Error {
public:
    using Error::Error;
};

// The file cannot be opened. The message is deliberately the same for every reason, so that the author of a crafted
// file learns nothing from it. The reason is for tests.
class CannotOpen : public Error {
public:
    enum class Reason { header, no_match, header_mac, payload };
    explicit CannotOpen(Reason reason);
    Reason reason() const { return reason_; }

private:
    Reason reason_;
};

// A public key that files are encrypted to.
class Recipient {
public:
    explicit Recipient(const ssh::PublicKey& key); // throws BadAgeKey for a key that X25519 cannot use
    // "age1…" or "ssh-ed25519 AAAA…". Throws BadAgeKey.
    static Recipient parse(std::string_view text);

    std::string to_string() const; // in the form that parse reads

    bool is_ssh() const { return is_ssh_; }
    const std::array<std::uint8_t, 32>& raw() const { return raw_; }          // as the key's owner writes it
    const std::array<std::uint8_t, 32>& montgomery() const { return point_; } // as X25519 needs it
    bool operator==(const Recipient&) const = default;

private:
    friend class Identity;
    Recipient(bool is_ssh, const std::array<std::uint8_t, 32>& raw, const std::array<std::uint8_t, 32>& point)
        : is_ssh_(is_ssh), raw_(raw), point_(point) {}

    bool is_ssh_;
    std::array<std::uint8_t, 32> raw_;
    std::array<std::uint8_t, 32> point_;
};

// A private key that opens files. It is wiped on destruction.
class Identity {
public:
    explicit Identity(const ssh::PrivateKey& key);
    // "AGE-SECRET-KEY-1…". Throws BadAgeKey, whose message leaves the text out.
    static Identity parse(std::string_view text);
    static Identity generate(); // X25519

    const Recipient& recipient() const { return recipient_; }
    std::span<const std::uint8_t> scalar() const { return scalar_; }

private:
    Identity(const Recipient& recipient, SecretBytes scalar);

    Recipient recipient_;
    SecretBytes scalar_; // 32 bytes, for X25519
};

inline constexpr size_t max_recipients = 16;
inline constexpr size_t max_header_bytes = 64 << 10; // of a file that is opened

// Makes an age file that each of the recipients (at least one, at most max_recipients) can open.
Bytes seal(std::span<const std::uint8_t> plaintext, std::span<const Recipient> recipients);

// Returns the whole plaintext or throws CannotOpen. It returns nothing before it has checked the last byte.
SecretBytes open(std::string_view file, std::span<const Identity> identities);

} // namespace waggle::age

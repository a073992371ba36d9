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

// age v1 files (C2SP age.md) for X25519 keys, and for OpenSSH Ed25519 keys as `age` itself has them (agessh). Binary,
// not armored. `age -d -i /etc/ssh/ssh_host_ed25519_key` opens what `seal` makes.

// Text that is not a recipient or identity; the message says why.
class BadAgeKey : public Error {
public:
    using Error::Error;
};

// The file is not opened. Its message is the same for whatever reason, for what a stranger may have made tells nobody
// what is wrong with it; the reason is for tests.
class CannotOpen : public Error {
public:
    enum class Reason { header, no_match, header_mac, payload };
    explicit CannotOpen(Reason reason);
    Reason reason() const { return reason_; }

private:
    Reason reason_;
};

// A public key that files are sealed to.
class Recipient {
public:
    explicit Recipient(const ssh::PublicKey& key); // throws BadAgeKey for a key that X25519 cannot use
    // "age1…" or "ssh-ed25519 AAAA…". Throws BadAgeKey.
    static Recipient parse(std::string_view text);

    std::string to_string() const; // as parse takes it

    bool is_ssh() const { return is_ssh_; }
    const std::array<std::uint8_t, 32>& raw() const { return raw_; }          // as the key's owner writes it
    const std::array<std::uint8_t, 32>& montgomery() const { return point_; } // as X25519 takes it
    bool operator==(const Recipient&) const = default;

private:
    friend class Identity;
    Recipient(bool is_ssh, const std::array<std::uint8_t, 32>& raw, const std::array<std::uint8_t, 32>& point)
        : is_ssh_(is_ssh), raw_(raw), point_(point) {}

    bool is_ssh_;
    std::array<std::uint8_t, 32> raw_;
    std::array<std::uint8_t, 32> point_;
};

// A private key that opens files; wiped at the end of its life.
class Identity {
public:
    explicit Identity(const ssh::PrivateKey& key);
    // "AGE-SECRET-KEY-1…". Throws BadAgeKey, without the text.
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

// An age file that each of the recipients (at least one, at most max_recipients) can open.
Bytes seal(std::span<const std::uint8_t> plaintext, std::span<const Recipient> recipients);

// All of the plaintext, or CannotOpen: nothing is given before the last byte was checked.
SecretBytes open(std::string_view file, std::span<const Identity> identities);

} // namespace waggle::age

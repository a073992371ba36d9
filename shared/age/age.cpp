#include "shared/age/age.hpp"

#include "shared/age/age_header.hpp"
#include "shared/age/crypto.hpp"
#include "shared/age/text_codes.hpp"
#include "shared/base/hash.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace waggle::age {

namespace {

constexpr size_t file_key_bytes = 16;
constexpr size_t wrapped_key_bytes = file_key_bytes + aead_tag_bytes;
constexpr size_t payload_nonce_bytes = 16;
constexpr size_t chunk_bytes = 64 << 10;
constexpr size_t ssh_tag_bytes = 4;
constexpr std::string_view x25519_type = "X25519";
constexpr std::string_view x25519_label = "age-encryption.org/v1/X25519";
constexpr std::string_view ssh_type = "ssh-ed25519";
constexpr std::string_view ssh_label = "age-encryption.org/v1/ssh-ed25519";

using Reason = CannotOpen::Reason;

std::string_view type_of(const Recipient& recipient) {
    return recipient.is_ssh() ? ssh_type : x25519_type;
}

// Identifies which of many SSH keys a stanza is for. X25519 stanzas carry no tag, so that a file does not reveal its
// recipients.
std::string ssh_tag(const Recipient& recipient) {
    const auto digest = sha256(ssh::PublicKey(recipient.raw()).wire());
    return to_raw_base64(View(digest).first(ssh_tag_bytes));
}

// Derives the key that wraps the file key from what both sides compute. For an SSH key, the shared secret is also
// multiplied by a number derived from the public key, so that its stanza can never be taken for one of an X25519 key.
std::optional<SecretBytes> wrap_key(const Recipient& recipient, View share, std::optional<SecretBytes> shared) {
    if (shared && recipient.is_ssh()) {
        const auto wire = ssh::PublicKey(recipient.raw()).wire();
        shared = x25519(hkdf_sha256({}, as_view(wire), ssh_label), *shared);
    }
    if (!shared)
        return std::nullopt;
    Bytes salt(share.begin(), share.end());
    salt.insert(salt.end(), recipient.montgomery().begin(), recipient.montgomery().end());
    return hkdf_sha256(*shared, salt, recipient.is_ssh() ? ssh_label : x25519_label);
}

std::string make_stanza(const Recipient& recipient, View file_key) {
    const Identity ephemeral = Identity::generate();
    const auto& share = ephemeral.recipient().raw();
    const auto key = wrap_key(recipient, share, x25519(ephemeral.scalar(), recipient.montgomery()));
    if (!key)
        throw BadAgeKey(fmt::format("{} cannot be sealed to: it is no ordinary key", recipient.to_string()));
    Bytes body(wrapped_key_bytes);
    aead_seal(*key, {}, file_key, body);
    auto words = recipient.is_ssh() ? fmt::format("{} {} {}", ssh_type, ssh_tag(recipient), to_raw_base64(share))
                                    : fmt::format("{} {}", x25519_type, to_raw_base64(share));
    return format_stanza(words, body);
}

// Returns the file key if the stanza is for this identity. Throws CannotOpen for a malformed stanza of the identity's
// type, because a lenient reader can be made to reveal what it knows.
std::optional<SecretBytes> unwrap(const Stanza& stanza, const Identity& identity) {
    const Recipient& recipient = identity.recipient();
    if (stanza.words.front() != type_of(recipient))
        return std::nullopt;
    const size_t words = recipient.is_ssh() ? 3 : 2;
    if (stanza.words.size() != words)
        throw CannotOpen(Reason::header);
    const auto share = from_raw_base64(stanza.words.back());
    if (!share || share->size() != recipient.raw().size() || stanza.body.size() != wrapped_key_bytes)
        throw CannotOpen(Reason::header);
    if (recipient.is_ssh() && stanza.words[1] != ssh_tag(recipient))
        return std::nullopt;
    const auto key = wrap_key(recipient, *share, x25519(identity.scalar(), *share));
    if (!key)
        throw CannotOpen(Reason::header);
    SecretBytes file_key(file_key_bytes);
    if (!aead_open(*key, {}, stanza.body, file_key))
        return std::nullopt;
    return file_key;
}

SecretBytes find_file_key(const AgeHeader& header, std::span<const Identity> identities) {
    for (const Identity& identity : identities)
        for (const Stanza& stanza : header.stanzas)
            if (auto key = unwrap(stanza, identity))
                return std::move(*key);
    throw CannotOpen(Reason::no_match);
}

Array32 header_mac(View file_key, std::string_view authentic) {
    return hmac_sha256(hkdf_sha256(file_key, {}, "header"), authentic);
}

// An 11-byte big-endian counter, then whether the chunk is the last.
AeadNonce chunk_nonce(std::uint64_t counter, bool last) {
    AeadNonce nonce{};
    for (size_t i = 0; i < sizeof counter; ++i)
        nonce[nonce.size() - 2 - i] = static_cast<std::uint8_t>(counter >> 8 * i);
    nonce.back() = last ? 1 : 0;
    return nonce;
}

SecretBytes open_payload(View file_key, View payload) {
    if (payload.size() < payload_nonce_bytes)
        throw CannotOpen(Reason::header);
    const auto key = hkdf_sha256(file_key, payload.first(payload_nonce_bytes), "payload");
    View rest = payload.subspan(payload_nonce_bytes);
    SecretBytes plaintext(rest.size());
    size_t size = 0;
    for (std::uint64_t counter = 0;; ++counter) {
        const View sealed = rest.first(std::min(rest.size(), chunk_bytes + aead_tag_bytes));
        rest = rest.subspan(sealed.size());
        const bool last = rest.empty();
        if (sealed.size() < aead_tag_bytes)
            throw CannotOpen(Reason::payload);
        const size_t opened = sealed.size() - aead_tag_bytes;
        if (opened == 0 && counter > 0) // only the sole chunk of a file may be empty
            throw CannotOpen(Reason::payload);
        if (!aead_open(key, chunk_nonce(counter, last), sealed, std::span(plaintext).subspan(size, opened)))
            throw CannotOpen(Reason::payload);
        size += opened;
        if (last)
            break;
    }
    plaintext.resize(size);
    return plaintext;
}

} // namespace

CannotOpen::CannotOpen(Reason reason)
    : Error("it cannot be opened: it is sealed for other keys, or damaged"), reason_(reason) {}

Bytes seal(std::span<const std::uint8_t> plaintext, std::span<const Recipient> recipients) {
    if (recipients.empty() || recipients.size() > max_recipients)
        throw Error(
            fmt::format("an age file is sealed to 1 to {} recipients, not {}", max_recipients, recipients.size()));
    SecretBytes file_key(file_key_bytes);
    fill_random(file_key);
    std::string stanzas;
    for (const Recipient& recipient : recipients)
        stanzas += make_stanza(recipient, file_key);
    std::string header = format_unfinished_header(stanzas);
    header += fmt::format(" {}\n", to_raw_base64(header_mac(file_key, header)));

    const auto nonce = random_bytes<payload_nonce_bytes>();
    const auto key = hkdf_sha256(file_key, nonce, "payload");
    const size_t chunks = std::max<size_t>(1, (plaintext.size() + chunk_bytes - 1) / chunk_bytes);
    const View head = as_view(header);
    Bytes file(head.begin(), head.end());
    file.insert(file.end(), nonce.begin(), nonce.end());
    size_t at = file.size();
    file.resize(at + plaintext.size() + chunks * aead_tag_bytes);
    for (size_t i = 0; i < chunks; ++i) {
        const View chunk =
            plaintext.subspan(i * chunk_bytes).first(std::min(chunk_bytes, plaintext.size() - i * chunk_bytes));
        const size_t sealed = chunk.size() + aead_tag_bytes;
        aead_seal(key, chunk_nonce(i, i + 1 == chunks), chunk, std::span(file).subspan(at, sealed));
        at += sealed;
    }
    return file;
}

SecretBytes open(std::string_view file, std::span<const Identity> identities) {
    const auto header = parse_age_header(file, max_header_bytes);
    if (!header)
        throw CannotOpen(Reason::header);
    const auto file_key = find_file_key(*header, identities);
    if (!equal_secret(header_mac(file_key, header->authentic), header->mac))
        throw CannotOpen(Reason::header_mac);
    return open_payload(file_key, as_view(header->payload));
}

} // namespace waggle::age

// OpenSSH's private key files (OpenSSH PROTOCOL.key), as far as Waggle supports them: one Ed25519 key, not encrypted.

#include "shared/base/fd.hpp"
#include "shared/ssh/key.hpp"
#include "shared/ssh/wipe.hpp"
#include "shared/ssh/wire.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace waggle::ssh {

namespace {

constexpr std::string_view begin_mark = "-----BEGIN OPENSSH PRIVATE KEY-----";
constexpr std::string_view end_mark = "-----END OPENSSH PRIVATE KEY-----";
constexpr std::string_view key_file_magic{"openssh-key-v1\0", 15};
constexpr size_t max_file_bytes = 64 << 10; // an RSA key of 16384 bits, which the error must name, takes 13 KiB
constexpr size_t cipher_block_bytes = 8;    // of the cipher "none": the private part is padded to a multiple
constexpr size_t line_columns = 70;         // as ssh-keygen writes
constexpr size_t seed_bytes = 32;

constexpr std::string_view how_to_make_one = "make one with `ssh-keygen -t ed25519`";

[[noreturn]] void fail(std::string_view name, std::string_view problem) {
    throw BadKey(fmt::format("{}: {}", name, problem));
}

std::string_view trim_end(std::string_view text) {
    return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
}

// Reports what a file without OpenSSH's marks is, as far as its first line shows.
[[noreturn]] void fail_other_file(std::string_view text, std::string_view name) {
    constexpr std::string_view pem = "-----BEGIN ";
    auto line = trim_end(text.substr(0, text.find('\n')));
    if (line.starts_with("ssh-") || line.starts_with("ecdsa-") || line.starts_with("sk-"))
        fail(name, "this is a public key; the private key's file is needed (the same name without .pub)");
    for (std::string_view kind : {"RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY",
                                  "PRIVATE KEY", "SSH2 ENCRYPTED PRIVATE KEY"})
        if (line.starts_with(pem) && line.substr(pem.size()).starts_with(kind))
            fail(name,
                 fmt::format("this is a PEM file ({}); Waggle takes Ed25519 keys in OpenSSH's own format only, {}",
                             kind, how_to_make_one));
    fail(name, "this is not an OpenSSH private key");
}

// Returns the binary form between the marks.
Bytes unarmor(std::string_view text, std::string_view name) {
    if (text.size() > max_file_bytes)
        fail(name, fmt::format("this is longer than {} bytes, so it is not an Ed25519 key", max_file_bytes));
    if (!text.starts_with(begin_mark))
        fail_other_file(text, name);
    text.remove_prefix(begin_mark.size());
    auto end = text.find(end_mark);
    if (end == text.npos)
        fail(name, "the private key's file ends too early");
    if (!trim_end(text.substr(end + end_mark.size())).empty())
        fail(name, "there is something after the private key's end");

    std::string base64;
    base64.reserve(end);
    Wipe wipe(base64);
    std::ranges::copy_if(text.substr(0, end), std::back_inserter(base64),
                         [](char c) { return c != '\n' && c != '\r'; });
    auto bytes = from_base64(base64);
    if (!bytes)
        fail(name, "the private key is not valid base64");
    return std::move(*bytes);
}

PublicKey read_public_part(std::string_view blob, std::string_view name) {
    try {
        return PublicKey::from_wire(blob);
    } catch (const BadKey& error) {
        fail(name, fmt::format("{}, {}", error.what(), how_to_make_one));
    }
}

// The part that a passphrase would protect. It holds the public key twice, and the seed determines it: all must agree.
std::string_view read_seed(std::string_view section, const PublicKey& public_key, std::string_view name) {
    WireReader reader(section);
    auto check = reader.u32();
    if (reader.u32() != check)
        fail(name, "the private key is damaged (its check numbers differ)");
    if (reader.string() != "ssh-ed25519")
        fail(name, "the private key's type is not that of its public key");
    auto public_again = reader.string();
    auto secret = reader.string(); // the seed, followed by the public key again
    if (public_again != as_text(public_key.raw()) || secret.size() != 2 * seed_bytes ||
        secret.substr(seed_bytes) != public_again)
        fail(name, "the private key does not belong to the public key in the same file");
    reader.string(); // the comment
    auto padding = reader.rest();
    if (padding.size() >= cipher_block_bytes || section.size() % cipher_block_bytes != 0)
        fail(name, "the private key is damaged (wrong padding)");
    for (size_t i = 0; i < padding.size(); ++i)
        if (padding[i] != static_cast<char>(i + 1))
            fail(name, "the private key is damaged (wrong padding)");
    return secret.substr(0, seed_bytes);
}

} // namespace

PrivateKey PrivateKey::load(const std::filesystem::path& path) {
    // Not read_file, whose buffer is not wiped.
    std::string text(max_file_bytes + 1, '\0');
    Wipe wipe(text);
    Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    size_t size = 0;
    ssize_t count = fd ? 1 : -1;
    while (count > 0 && size < text.size()) {
        count = ::read(fd.get(), text.data() + size, text.size() - size);
        size += count > 0 ? static_cast<size_t>(count) : 0;
    }
    if (count < 0)
        fail(path.string(), fmt::format("the private key cannot be read: {}", std::strerror(errno)));
    return parse(std::string_view(text).substr(0, size), path.string());
}

PrivateKey PrivateKey::parse(std::string_view text, std::string_view name_for_errors) {
    auto bytes = unarmor(text, name_for_errors);
    Wipe wipe(bytes);
    try {
        WireReader reader(as_text(bytes));
        if (reader.raw(key_file_magic.size()) != key_file_magic)
            fail(name_for_errors, "this is not an OpenSSH private key");
        auto cipher = reader.string();
        auto derivation = reader.string();
        auto derivation_options = reader.string();
        if (auto keys = reader.u32(); keys != 1)
            fail(name_for_errors, fmt::format("one private key is expected in the file, but it holds {}", keys));
        auto public_key = read_public_part(reader.string(), name_for_errors);
        if (cipher != "none" || derivation != "none" || !derivation_options.empty())
            throw PassphraseNeeded(
                fmt::format(
                    "{}: the private key is protected by a passphrase, which Waggle does not ask for; add it to "
                    "your ssh-agent with `ssh-add {}`, or give a key without one",
                    name_for_errors, name_for_errors),
                public_key);
        auto section = reader.string();
        reader.end();

        auto seed = read_seed(section, public_key, name_for_errors);
        auto key = from_seed(
            std::span<const std::uint8_t, seed_bytes>(reinterpret_cast<const std::uint8_t*>(seed.data()), seed_bytes));
        if (key.public_key() != public_key)
            fail(name_for_errors, "the private key does not belong to the public key in the same file");
        return key;
    } catch (const BadWire& error) {
        fail(name_for_errors, fmt::format("the private key is damaged: {}", error.what()));
    }
}

std::string PrivateKey::to_openssh(std::string_view comment) const {
    std::array<std::uint8_t, seed_bytes> seed;
    Wipe wipe_seed(seed);
    size_t size = seed.size();
    if (EVP_PKEY_get_raw_private_key(key_.get(), seed.data(), &size) != 1 || size != seed.size())
        throw Error("OpenSSL cannot give the private part of an Ed25519 key");

    auto public_raw = as_text(public_key_.raw());
    std::string section;
    section.reserve(256 + comment.size()); // so that it does not grow: see Wipe
    Wipe wipe_section(section);
    auto check = random_bytes<4>();
    section.append(as_text(check)).append(as_text(check));
    put_string(section, "ssh-ed25519");
    put_string(section, public_raw);
    put_u32(section, 2 * seed_bytes);
    section.append(as_text(seed)).append(public_raw);
    put_string(section, comment);
    for (char pad = 1; section.size() % cipher_block_bytes != 0; ++pad)
        section.push_back(pad);

    std::string binary;
    binary.reserve(section.size() + 256);
    Wipe wipe_binary(binary);
    binary.append(key_file_magic);
    put_string(binary, "none");
    put_string(binary, "none");
    put_string(binary, "");
    put_u32(binary, 1);
    put_string(binary, public_key_.wire());
    put_string(binary, section);

    auto base64 = to_base64(binary);
    Wipe wipe_base64(base64);
    std::string text;
    text.reserve(base64.size() + base64.size() / line_columns + begin_mark.size() + end_mark.size() + 8);
    text.append(begin_mark).append("\n");
    for (size_t at = 0; at < base64.size(); at += line_columns)
        text.append(base64, at, line_columns).append("\n");
    text.append(end_mark).append("\n");
    return text;
}

} // namespace waggle::ssh

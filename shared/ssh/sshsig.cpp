#include "shared/ssh/sshsig.hpp"

#include "shared/base/hash.hpp"
#include "shared/ssh/wire.hpp"

#include <fmt/format.h>

namespace waggle::ssh {

namespace {

// OpenSSH PROTOCOL.sshsig
constexpr std::string_view signature_magic = "SSHSIG";
constexpr std::uint32_t version = 1;
constexpr std::string_view hash_name = "sha512";
constexpr std::string_view signature_type = "ssh-ed25519";
constexpr size_t armor_columns = 70; // as ssh-keygen writes

// The bytes that the key signs: the message's hash and its namespace.
std::string signed_bytes(std::string_view name_space, std::string_view message) {
    std::string out{signature_magic};
    put_string(out, name_space);
    put_string(out, ""); // reserved
    put_string(out, hash_name);
    put_string(out, as_text(sha512(message)));
    return out;
}

} // namespace

std::string sshsig_sign(const Signer& key, std::string_view name_space, std::string_view message) {
    if (name_space.empty())
        throw Error("an SSH signature needs a namespace");
    std::string signature;
    put_string(signature, signature_type);
    put_string(signature, as_text(key.sign(signed_bytes(name_space, message))));

    std::string blob{signature_magic};
    put_u32(blob, version);
    put_string(blob, key.public_key().wire());
    put_string(blob, name_space);
    put_string(blob, ""); // reserved
    put_string(blob, hash_name);
    put_string(blob, signature);
    return blob;
}

PublicKey sshsig_verify(std::string_view blob, std::string_view name_space, std::string_view message) {
    try {
        WireReader reader(blob);
        if (reader.raw(signature_magic.size()) != signature_magic)
            throw BadSignature("this is not an SSH signature");
        if (auto other = reader.u32(); other != version)
            throw BadSignature(fmt::format("the SSH signature is of version {}, not {}", other, version));
        auto key = PublicKey::from_wire(reader.string());
        if (reader.string() != name_space)
            throw BadSignature(fmt::format("the SSH signature is for another purpose than {}", name_space));
        if (!reader.string().empty())
            throw BadSignature("the SSH signature has a reserved field that is not empty");
        if (reader.string() != hash_name)
            throw BadSignature(fmt::format("the SSH signature uses another hash than {}", hash_name));
        WireReader signature(reader.string());
        reader.end();
        if (signature.string() != signature_type)
            throw BadSignature("the SSH signature's type is not that of its key");
        auto raw = signature.string();
        signature.end();
        if (!key.verify(signed_bytes(name_space, message),
                        {reinterpret_cast<const std::uint8_t*>(raw.data()), raw.size()}))
            throw BadSignature("the SSH signature does not match the signed data");
        return key;
    } catch (const BadWire& error) {
        throw BadSignature(fmt::format("the SSH signature is malformed: {}", error.what()));
    } catch (const BadKey& error) {
        throw BadSignature(fmt::format("the SSH signature's key cannot be used: {}", error.what()));
    }
}

std::string sshsig_armor(std::string_view blob) {
    std::string out = "-----BEGIN SSH SIGNATURE-----\n";
    auto base64 = to_base64(blob);
    for (size_t at = 0; at < base64.size(); at += armor_columns)
        out.append(base64, at, armor_columns).append("\n");
    return out + "-----END SSH SIGNATURE-----\n";
}

} // namespace waggle::ssh

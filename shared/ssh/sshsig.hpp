#pragma once

#include "shared/ssh/key.hpp"

#include <string>
#include <string_view>

namespace waggle::ssh {

// A signature that does not match the message, the namespace or the format.
class BadSignature : public Error {
public:
    using Error::Error;
};

// Makes an SSHSIG (OpenSSH PROTOCOL.sshsig) with SHA-512 as the binary blob, without armor. It equals what
// `ssh-keygen -Y sign -n NAMESPACE` makes, byte for byte.
std::string sshsig_sign(const Signer& key, std::string_view name_space, std::string_view message);

// Returns the key that made the signature. The caller decides whether it trusts that key. Throws BadSignature.
PublicKey sshsig_verify(std::string_view blob, std::string_view name_space, std::string_view message);

// "-----BEGIN SSH SIGNATURE-----" …, as ssh-keygen -Y verify reads it.
std::string sshsig_armor(std::string_view blob);

} // namespace waggle::ssh

#pragma once

#include "shared/ssh/key.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::ssh {

// The entries of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT) for one host.
struct KnownHost {
    std::vector<PublicKey> keys;          // Ed25519 only
    std::vector<PublicKey> revoked;       // @revoked Ed25519 keys for this host
    std::vector<std::string> other_types; // key types listed for it that cannot be a pin, for the error message
};

// Looks `host` up as OpenSSH does: by plain names, patterns (* ? !) and hashed names. For a port other than 22, it
// looks for "[host]:port" and, if that has no key, for "host". It skips lines that it cannot read, as OpenSSH does.
// @cert-authority lines never count.
KnownHost find_known_host(std::string_view known_hosts_text, std::string_view host, std::uint16_t port);

// The name under which a host is listed: "host" or "[host]:port".
std::string known_hosts_name(std::string_view host, std::uint16_t port);

} // namespace waggle::ssh

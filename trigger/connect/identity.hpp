#pragma once

#include "shared/ssh/key.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace waggle::trigger {

// The operator's key and where it is.
struct Identity {
    std::unique_ptr<ssh::Signer> signer;
    std::string origin;                 // "the file …", "ssh-agent (comment)"
    std::optional<std::string> warning; // about how the key is used
};

// Where to look for the key. Tests substitute their own places.
struct IdentityPlaces {
    std::filesystem::path home;
    std::optional<std::filesystem::path> agent_socket; // SSH_AUTH_SOCK
    bool came_by_ssh = false;                          // SSH_CONNECTION

    static IdentityPlaces of_this_process();
};

// The operator's key. `named` (--identity) is a private key file, or a .pub file whose private key the ssh-agent holds;
// without it ~/.ssh/id_ed25519, or the only Ed25519 key of the ssh-agent. A file with a passphrase is used through the
// agent. Requests one signature from an agent at once, so that a problem shows before anything else happens. Throws
// Error with what to do.
Identity load_identity(const std::optional<std::filesystem::path>& named, const IdentityPlaces& places);

} // namespace waggle::trigger
